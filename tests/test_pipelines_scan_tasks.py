"""Pieces of long videos: what is there is not judged again."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.results.result_set import ResultError
from pipelines.scan.tasks import PieceStore, Task

SPANS = [range(500), range(500, 1000)]


def test_shards_are_left_until_all_are_there_to_be_joined(tmp_path: Path) -> None:
    store = PieceStore(tmp_path / "pieces")
    assert store.left("a.mp4", SPANS) == [Task("a.mp4", span) for span in SPANS]
    store.keep("a.mp4", SPANS[1], b"second")
    assert store.left("a.mp4", SPANS) == [Task("a.mp4", SPANS[0])]
    store.keep("a.mp4", SPANS[0], b"first")
    (joining,) = PieceStore(tmp_path / "pieces").left("a.mp4", SPANS)  # of another process
    assert joining.span is None
    assert joining.contents() == [b"first", b"second"]
    assert len(store.left("b.mp4", SPANS)) == 2


def test_what_has_its_row_is_forgotten_and_others_stay(tmp_path: Path) -> None:
    store = PieceStore(tmp_path / "pieces")
    for path in ("a.mp4", "b.mp4"):
        store.keep(path, SPANS[0], b"piece")
    store.forget("a.mp4", SPANS)
    assert store.left("a.mp4", SPANS[:1]) == [Task("a.mp4", SPANS[0])]
    assert store.left("b.mp4", SPANS[:1])[0].span is None
    store.clear()
    assert not (tmp_path / "pieces").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "pieces").write_text("a file in the way")
    with pytest.raises(ResultError, match=r"pieces: the pieces of long videos cannot be written"):
        PieceStore(tmp_path / "pieces").keep("a.mp4", SPANS[0], b"piece")
