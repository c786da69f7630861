"""Kept rows: what was done once is not done again, and half a line is as good as none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.storage.kept_rows import KeptRows

MODEL = {"name": "m", "sha256": "ab"}


def counted(made: list[str], name: str) -> dict[str, Any]:
    made.append(name)
    return {"score": len(made)}


def test_a_row_is_made_once_and_read_back_by_the_same_model(tmp_path: Path) -> None:
    path, made = tmp_path / "rows.jsonl", list[str]()
    for _ in range(2):
        rows = KeptRows(path, ("path", "severity"), MODEL)
        row = rows.row(("a.mp4", 1), lambda: counted(made, "a"))
        assert row == {"path": "a.mp4", "severity": 1, "model": MODEL, "score": 1}
    rows.row(("a.mp4", 2), lambda: counted(made, "b"))
    other = KeptRows(path, ("path", "severity"), {"name": "m", "sha256": "cd"})
    assert other.row(("a.mp4", 1), lambda: counted(made, "c"))["score"] == 3
    assert made == ["a", "b", "c"]
    assert len(path.read_text().splitlines()) == 3


def test_a_line_that_was_not_written_to_its_end_is_made_again(tmp_path: Path) -> None:
    path, made = tmp_path / "rows.jsonl", list[str]()
    rows = KeptRows(path, ("path",), MODEL)
    for name in ("a", "b"):
        rows.row((name,), lambda name=name: counted(made, name))  # type: ignore[misc]
    path.write_text(path.read_text()[:-9])
    again = KeptRows(path, ("path",), MODEL)
    assert list(again.rows) == [("a",)]
    again.row(("b",), lambda: counted(made, "b"))
    assert made == ["a", "b", "b"]
    assert len(KeptRows(path, ("path",), MODEL).rows) == 2


def test_without_a_path_nothing_is_written_and_another_file_is_refused(tmp_path: Path) -> None:
    assert KeptRows(None, ("path",), MODEL).row(("a",), lambda: {"score": 1})["score"] == 1
    (tmp_path / "x").write_text("path,label\n")
    with pytest.raises(ValueError, match="x: line 1 is no kept result"):
        KeptRows(tmp_path / "x", ("path",), MODEL)
