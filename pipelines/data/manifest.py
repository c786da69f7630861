"""Manifests of data sets: one record per file with its labels, in one vocabulary, as CSV.

A manifest has a column `path`, so that `avdetect scan` accepts it, and the columns that
`avdetect evaluate --truth` needs. Segments are JSON, `[[1.0, 2.5]]` in seconds; `[]` means genuine,
`whole` forged from end to end, and an empty cell unknown.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extractors.errors import InputError
from pipelines.storage.tables import OUR_NAMES, Columns, open_table

Spans = tuple[tuple[float, float], ...]  # seconds
WHOLE: Spans = ((0.0, float("inf")),)
# attributes by which results are grouped; the last two are no person's: compression or codec, and
# what a clip shows that makes it a risk, such as "public figures"
GROUPS = ("age", "gender", "skin_type", "race", "lighting", "language", "quality", "aspect")
MARK = "visual_segments"  # the column that identifies this kind of manifest
TOLD = ("source", "licence", "attribution", "contains_people", "doubt")
COLUMNS = (
    "path", "label", MARK, "audio_segments", "sync_segments", "method", "forgery_type", "domain",
    "split", "persons", *GROUPS, "fps", *TOLD,
)  # fmt: skip
LABELS = {"real": False, "0": False, "fake": True, "1": True}
PEOPLE = ("no", "consented", "yes", "")  # whether people are seen or heard; empty: unknown
SPLITS = {
    "train": "train", "training": "train",
    "val": "val", "dev": "val", "valid": "val", "validation": "val", "progress": "val",
    "test": "test", "eval": "test", "testing": "test", "hidden": "hidden",
    "": "",
}  # fmt: skip


@dataclass(frozen=True)
class Record:
    """One file of a data set with its annotations."""

    path: str  # relative to the data set's root until a manifest is written
    fake: bool
    visual: Spans | None  # forged seconds; (): genuine; None: unknown
    audio: Spans | None
    sync: Spans | None
    method: str = "real"  # generator or manipulation; "real" for genuine files
    forgery_type: str = ""  # family of the method, such as face-swap
    domain: str = ""  # collection that the genuine material comes from
    split: str = ""  # train, val, test or hidden; empty: the data set has none
    persons: tuple[str, ...] = ()  # everyone who is seen or heard; a swap has two
    groups: dict[str, str] = field(default_factory=dict)  # attributes by a name of GROUPS
    fps: float | None = None
    source: str = ""  # the data set
    licence: str = ""
    attribution: str = ""  # whom the licence asks to name
    contains_people: str = ""  # one of PEOPLE; consented: all of them agreed to be learned from
    doubt: str = ""  # how the annotations contradict each other, if they do

    def __post_init__(self) -> None:
        unknown = [name for name in self.groups if name not in GROUPS]
        if unknown or self.split not in SPLITS.values():
            raise InputError(f"{self.path}: unknown group {unknown} or split {self.split!r}")
        if self.contains_people not in PEOPLE:
            raise InputError(
                f"{self.path}: contains_people must be one of {', '.join(filter(None, PEOPLE))}, "
                f"got {self.contains_people!r}"
            )

    @property
    def spans(self) -> dict[str, Spans | None]:
        """The forged seconds by modality."""
        return {"visual": self.visual, "audio": self.audio, "sync": self.sync}


def split_word(word: str) -> str:
    """Return train, val, test or hidden for a data set's own name of a split.

    Raises:
        InputError: the word is unknown.
    """
    split = SPLITS.get(word.strip().lower())
    if split is None:
        raise InputError(f"unknown split {word!r}; known: {', '.join(filter(None, SPLITS))}")
    return split


def write_records(path: Path, records: Iterable[Record], root: Path) -> int:
    """Write a manifest and return how many records it has.

    Args:
        path: of the manifest (.csv).
        records: whose paths are relative to `root`.
        root: of the data set; paths are relative to the manifest if it lies above the root.
    """
    count = 0
    place = os.path.relpath(root.absolute(), path.absolute().parent)
    start = root.absolute() if place.startswith("..") else Path(place)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for record in records:
            table.writerow(_cells(record) | {"path": str(start / record.path)})
            count += 1
    return count


def read_records(path: Path, columns: Columns = OUR_NAMES) -> Iterator[Record]:
    """Yield the records of a manifest; their paths are relative to its folder.

    Args:
        path: of the manifest.
        columns: the manifest's names of our columns.

    Raises:
        InputError: it lacks a column, or a cell cannot be parsed.
    """
    table = open_table(path, columns)
    table.need(*COLUMNS[:3])
    for place, row in table.rows():
        try:
            yield record_of(row)
        except ValueError as error:
            raise InputError(f"{place}: {error}") from error


def record_of(row: Mapping[str, Any]) -> Record:
    """Return the record of a row of a manifest.

    Raises:
        ValueError: a cell cannot be parsed.
    """
    return _record({name: text_of(row, name) for name in COLUMNS})


def text_of(row: Mapping[str, Any], column: str) -> str:
    """Return a cell as text; a missing one is empty."""
    cell = row.get(column)
    return "" if cell is None else str(cell)


def as_fake(label: str) -> bool:
    """Return True for the labels `fake` and 1, False for `real` and 0.

    Raises:
        InputError: any other label.
    """
    if label.strip().lower() not in LABELS:
        raise InputError(f"expected fake or real, got {label!r} (1 or 0 will do)")
    return LABELS[label.strip().lower()]


def _cells(record: Record) -> dict[str, object]:
    return {
        "label": "fake" if record.fake else "real",
        **{f"{name}_segments": _segment_cell(spans) for name, spans in record.spans.items()},
        **{name: record.groups.get(name, "") for name in GROUPS},
        **{n: getattr(record, n) for n in ("method", "forgery_type", "domain", "split")},
        "persons": ";".join(record.persons), "fps": "" if record.fps is None else record.fps,
        **{n: getattr(record, n) for n in TOLD},
    }  # fmt: skip


def _record(row: dict[str, str]) -> Record:
    return Record(
        path=row["path"],
        fake=as_fake(row["label"]),
        visual=_segments(row[MARK]),
        audio=_segments(row["audio_segments"]),
        sync=_segments(row["sync_segments"]),
        persons=tuple(filter(None, row["persons"].split(";"))),
        groups={name: row[name] for name in GROUPS if row[name]},
        fps=float(row["fps"]) if row["fps"] else None,
        **{n: row[n] for n in ("method", "forgery_type", "domain", "split")},
        **{n: row[n] for n in TOLD},
    )


def _segment_cell(spans: Spans | None) -> str:
    if spans == WHOLE:
        return "whole"
    return "" if spans is None else json.dumps([list(span) for span in spans])


def _segments(cell: str) -> Spans | None:
    if cell == "whole":
        return WHOLE
    try:
        return as_spans(json.loads(cell)) if cell else None
    except ValueError as error:
        raise InputError(f"expected segments such as [[1, 2.5]] or whole, got {cell!r}") from error


def as_spans(rows: Sequence[Sequence[float]]) -> Spans:
    """Return rows (start, end) as spans.

    Raises:
        InputError: a row has another length or holds anything but numbers.
    """
    try:
        return tuple((float(start), float(end)) for start, end in rows)
    except (TypeError, ValueError) as error:
        raise InputError(f"expected rows (start, end), got {rows!r}") from error
