"""Whole files: a reader sees all of one, or the one before."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.storage.files import write_by, write_whole


def test_a_file_is_replaced_in_one_go(tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    write_whole(path, b"one")
    write_by(path, lambda partial: partial.write_text(path.read_text() + " and two"))
    assert path.read_text() == "one and two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_file_before_it_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    write_whole(path, b"one")

    def half(partial: Path) -> None:
        partial.write_text("tw")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_by(path, half)
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]
