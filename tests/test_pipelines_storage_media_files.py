"""Which names are those of media files."""

from __future__ import annotations

import pytest

from pipelines.storage.media_files import is_media


@pytest.mark.parametrize("name", ["a.mp4", "A.MP4", "s3://corpus/clips/a b.WebM", "x.tar.wav"])
def test_a_media_file_is_known_by_its_suffix_in_any_case(name: str) -> None:
    assert is_media(name)


@pytest.mark.parametrize("name", ["mp4", ".mp4", "a.mp4.txt", "a.csv", "a.mp4 "])
def test_other_names_are_no_media_files(name: str) -> None:
    assert not is_media(name)
