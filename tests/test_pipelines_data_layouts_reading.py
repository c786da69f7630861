"""What every reader of data sets relies on: encodings, missing columns, unknown words."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.data.layouts.reading import (
    json_of,
    lines_of,
    media_below,
    needed,
    table_rows,
    word_of,
)


def test_a_table_is_read_in_the_first_encoding_that_fits(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("file,name\na.mp4,Zoë\n".encode("latin-1"))
    assert table_rows(path, "file", encodings=("utf-8", "latin-1")) == [
        {"file": "a.mp4", "name": "Zoë"}
    ]
    with pytest.raises(ValueError, match=r"t\.csv: its text is in none of utf-8-sig"):
        table_rows(path, "file")


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("file,label\na.mp4,1\n", encoding="utf-8-sig")
    assert table_rows(path, "file", "label") == [{"file": "a.mp4", "label": "1"}]
    with pytest.raises(ValueError, match=r"t\.csv: has no column split, person"):
        table_rows(path, "file", "split", "person")


def test_what_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not found, so this is not the layout of LAV-DF"):
        needed(tmp_path / "metadata.json", "LAV-DF")
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(ValueError, match=r"b\.json: no JSON"):
        json_of(tmp_path / "b.json")
    with pytest.raises(ValueError, match="line 3: unknown word 'bogus'; known: bonafide, spoof"):
        word_of("bogus", {"bonafide": 0, "spoof": 1}, "line 3")
    assert word_of("spoof", {"bonafide": 0, "spoof": 1}, "line 3") == 1


def test_empty_lines_are_counted_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "l.txt"
    path.write_text("a b\n\n  c\n")
    assert list(lines_of(path)) == [(1, ["a", "b"]), (3, ["c"])]


def test_media_are_found_at_all_depths_in_order_and_no_folder_has_none(tmp_path: Path) -> None:
    for name in ("b.mp4", "deep/er/a.WAV", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.mp4").mkdir()
    assert media_below(tmp_path) == [tmp_path / "b.mp4", tmp_path / "deep/er/a.WAV"]
    assert media_below(tmp_path / "none") == []
