"""Helpers of the data sets' readers: tables, JSON, lines and media files, with clear errors."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from extractors.errors import InputError
from pipelines.storage.media_files import is_media


def needed(path: Path, what: str) -> Path:
    """Return the path if it exists.

    Raises:
        InputError: it does not exist; the message names `what`, the expected data set.
    """
    if not path.exists():
        raise InputError(f"{path}: not found, so this is not the layout of {what}")
    return path


def table_rows(path: Path, *columns: str, encodings: tuple[str, ...] = ("utf-8-sig",)) -> Any:
    """Return the rows of a CSV file as dicts, decoded by the first encoding that fits.

    Raises:
        InputError: no encoding fits, or a column is missing.
    """
    for encoding in encodings:
        try:
            text = path.read_text(encoding=encoding)
        except UnicodeDecodeError:
            continue
        table = csv.DictReader(text.splitlines())
        missing = [name for name in columns if name not in (table.fieldnames or ())]
        if missing:
            raise InputError(f"{path}: has no column {', '.join(missing)}")
        return list(table)
    raise InputError(f"{path}: its text is in none of {', '.join(encodings)}")


def json_of(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        InputError: it is not JSON; the message names the file.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: no JSON: {error}") from error


def lines_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the words of each line that is not empty.

    Raises:
        InputError: the file is not UTF-8 text.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if words := line.split():
                    yield number, words
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text in UTF-8 ({error.reason})") from error


def media_below(folder: Path) -> list[Path]:
    """Return the media files at any depth below a folder, sorted; none if it does not exist."""
    return sorted(path for path in folder.rglob("*") if is_media(path.name) and path.is_file())


def word_of(value: str, known: dict[str, Any], where: str) -> Any:
    """Return the meaning of a data set's word by the table `known`.

    Raises:
        InputError: the word is unknown; `where` names file and row.
    """
    if value not in known:
        raise InputError(f"{where}: unknown word {value!r}; known: {', '.join(known)}")
    return known[value]
