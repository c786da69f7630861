"""Tables with a row per file: CSV, TSV, JSON lines and Parquet, with column names mapped to ours.

The one reader of manifests, which list the clips of a scan, a training or an evaluation.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extractors.errors import InputError

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
BATCH = 4096  # rows of a Parquet file that are in memory at once
Columns = Mapping[str, str]  # our name of a column -> the file's
OUR_NAMES: Columns = {}


@dataclass(frozen=True)
class Table:
    """A table with its columns under our names.

    Cells of CSV, TSV and JSON lines are text, since what looks like a number may be a name with
    leading zeros; those of Parquet have their types.
    """

    path: Path
    kinds: dict[str, str]  # our name of each column -> its Arrow type
    names: dict[str, str]  # the file's name -> ours

    def need(self, *columns: str) -> None:
        """Check that the table has these columns.

        Raises:
            InputError: it lacks one; the message lists those that it has.
        """
        if missing := [name for name in columns if name not in self.kinds]:
            raise InputError(
                f"{self.path}: has no column {' and no '.join(map(repr, missing))}; found "
                f"{', '.join(self.names) or 'none'} (--columns {missing[0]}=NAME, or data.columns "
                "of a recipe, tells which it is)"
            )

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each row's place, for error messages, and its cells.

        Raises:
            InputError: the file is not in the format of its suffix.
        """
        read = {".jsonl": _json_rows, ".parquet": _parquet_rows}.get(_suffix(self.path), _csv_rows)
        unit = "row" if _suffix(self.path) == ".parquet" else "line"
        for number, row in read(self.path):
            cells = {ours: row.get(name) for name, ours in self.names.items()}
            yield f"{self.path}: {unit} {number}", cells


def open_table(path: Path, columns: Columns = OUR_NAMES) -> Table:
    """Return a table, reading only the names of its columns.

    Args:
        path: with a suffix of `TABLES`.
        columns: our names -> the file's. Columns that it lacks are ignored, since truth and
            predictions may share a mapping. A column whose name is taken becomes `manifest_NAME`.

    Raises:
        InputError: the file is not in the format of its suffix.
        OSError: it cannot be opened.
    """
    kinds = _kinds(path)
    columns = {**_own_columns(kinds), **columns}
    taken = {theirs: ours for ours, theirs in columns.items() if theirs in kinds}
    names = {
        name: taken.get(name, f"manifest_{name}" if name in taken.values() else name)
        for name in kinds
    }
    return Table(path, {names[name]: kind for name, kind in kinds.items()}, names)


def parse_columns(words: Sequence[str]) -> dict[str, str]:
    """Return a mapping written as `path=filename,score=prediction`, in one word or several.

    >>> parse_columns(["path=filename,score=prediction", "label=y"])
    {'path': 'filename', 'score': 'prediction', 'label': 'y'}

    Raises:
        InputError: a part is no `OURS=THEIRS`, or a name is mapped twice.
    """
    columns: dict[str, str] = {}
    for part in ",".join(words).split(",") if words else ():
        ours, equals, theirs = part.partition("=")
        if not (equals and ours and theirs) or ours in columns or theirs in columns.values():
            raise InputError(f"--columns {part}: expected OURS=THEIRS, each name once")
        columns[ours] = theirs
    return columns


def _own_columns(kinds: Mapping[str, str]) -> Columns:
    """Return the mapping for the project's first manifests, whose `path` is one in a repository."""
    return {"path": "file"} if {"file", "repo"} <= set(kinds) else OUR_NAMES


def _kinds(path: Path) -> dict[str, str]:
    """Return name and Arrow type of the columns of a file."""
    suffix = _suffix(path)
    if suffix == ".parquet":
        return {field.name: str(field.type) for field in _parquet(path).schema_arrow}
    if suffix == ".jsonl":
        return dict.fromkeys((name for _, row in _json_rows(path) for name in row), "string")
    with path.open(newline="", encoding="utf-8-sig") as file, _readable(path):
        return dict.fromkeys(_csv_reader(path, file).fieldnames or (), "string")


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with path.open(newline="", encoding="utf-8-sig") as file, _readable(path):
        table = _csv_reader(path, file)
        for row in table:
            row.pop(None, None)  # more cells than names
            yield table.line_num, row


def _csv_reader(path: Path, file: Any) -> Any:
    return csv.DictReader(file, delimiter="\t" if _suffix(path) == ".tsv" else ",")


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    with path.open(encoding="utf-8-sig") as file, _readable(path):
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}: line {number}: no JSON: {error}") from error
            if not isinstance(row, dict):
                raise InputError(f"{path}: line {number}: expected a JSON object, got {row!r:.40}")
            yield number, {name: _as_text(value) for name, value in row.items()}


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    for batch in _parquet(path).iter_batches(batch_size=BATCH):
        for row in batch.to_pylist():
            number += 1
            yield number, row


def _parquet(path: Path) -> Any:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(path)
    except pyarrow.ArrowException as error:
        raise InputError(f"{path}: not a Parquet file that can be read ({error})") from error


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn errors about the content into `InputError`s that name the file."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text in UTF-8 ({error.reason})") from error
    except csv.Error as error:
        raise InputError(f"{path}: is no table that can be read ({error})") from error


def _suffix(path: Path) -> str:
    return path.suffix.lower()
