"""Rows of a journal are there as soon as they are added, up to where a writer was killed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from pipelines.results.journal import Journal, journal_rows

SCHEMA = pa.schema({"path": pa.string(), "score": pa.float64()})
ROWS = [{"path": f"{i}.mp4", "score": i / 4} for i in range(4)]


def test_a_row_can_be_read_before_the_next_one_comes(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", SCHEMA)
    assert list(journal_rows(tmp_path / "j")) == []
    for count, row in enumerate(ROWS, 1):
        journal.add(row)
        assert list(journal_rows(tmp_path / "j")) == ROWS[:count]
    journal.close()
    assert list(journal_rows(tmp_path / "j")) == ROWS


def test_a_journal_that_was_cut_anywhere_keeps_the_rows_before_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal, ends = Journal(path, SCHEMA), []
    for row in ROWS:
        journal.add(row)
        ends.append(path.stat().st_size)
    journal.close()
    whole = path.read_bytes()
    for cut in range(0, len(whole), 41):
        path.write_bytes(whole[:cut])
        assert list(journal_rows(path)) == ROWS[: sum(end <= cut for end in ends)]


def test_no_journal_has_no_rows(tmp_path: Path) -> None:
    assert list(journal_rows(tmp_path / "none")) == []
