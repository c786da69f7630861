"""Integrity checks of a data set: missing, unreadable and inconsistent files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from extractors.media import MediaError, probe
from pipelines.data.layouts.df40 import PICTURES
from pipelines.data.layouts.reading import media_below
from pipelines.data.manifest import WHOLE, Record
from pipelines.progress import OnStep

EXAMPLES = 5  # named for each kind of trouble
ROUNDING = 0.1  # seconds that a segment may end after its clip


def check_records(
    records: Iterable[Record],
    root: Path,
    opened: bool = True,
    workers: int = 2,
    on_step: OnStep = lambda done, total: None,
) -> dict[str, Any]:
    """Return how many files are present, missing, unreadable and inconsistent, with examples.

    Inconsistent are records whose annotations contradict each other, duplicates, and records whose
    segments end after the file does; `unlisted` are media files that no record names.

    Args:
        records: whose paths are relative to `root`.
        root: of the data set.
        opened: open every file; if False, only check that it exists.
        workers: number of files opened at once.
        on_step: called with the number of records done and the total.
    """
    everyone = list(records)
    troubles: dict[str, list[str]] = {k: [] for k in ("missing", "unreadable", "inconsistent")}
    twice = {path for path, n in Counter(r.path for r in everyone).items() if n > 1}

    def look(record: Record) -> tuple[str, str]:
        if record.path in twice:
            return "inconsistent", "is listed twice"
        return _look(root / record.path, record, probe if opened else None)

    with ThreadPoolExecutor(workers) as pool:
        for done, (record, (kind, why)) in enumerate(
            zip(everyone, pool.map(look, everyone), strict=True), 1
        ):
            if kind:
                troubles[kind].append(f"{record.path}: {why}")
            on_step(done, len(everyone))
    named = {root / record.path for record in everyone}
    return {
        "records": len(everyone),
        "present": len(everyone) - len(troubles["missing"]),
        **{kind: len(examples) for kind, examples in troubles.items()},
        "unlisted": sum(path not in named for path in media_below(root)),
        "real": sum(not record.fake for record in everyone),
        "fake": sum(record.fake for record in everyone),
        "splits": dict(Counter(record.split or "none" for record in everyone)),
        "methods": dict(Counter(record.method for record in everyone)),
        "examples": {kind: examples[:EXAMPLES] for kind, examples in troubles.items() if examples},
    }


def _look(path: Path, record: Record, opens: Callable[[Path], Any] | None) -> tuple[str, str]:
    """Return a record's kind of trouble and its cause; two empty strings if there is none."""
    if not path.exists():
        return "missing", "no such file"
    if record.doubt:
        return "inconsistent", record.doubt
    if opens is None:
        return "", ""
    if path.is_dir():
        pictures = [p for p in path.iterdir() if p.suffix.lower() in PICTURES]
        return ("", "") if pictures else ("unreadable", "a folder without pictures")
    if path.suffix.lower() in PICTURES:
        import cv2

        return ("", "") if cv2.imread(str(path)) is not None else ("unreadable", "no picture")
    try:
        duration = opens(path).duration
    except MediaError as error:
        return "unreadable", str(error)
    ends = [
        end
        for spans in record.spans.values()
        if spans not in (None, WHOLE)
        for _, end in spans or ()
    ]
    late = max(ends, default=0.0)
    if late > duration + ROUNDING:
        return "inconsistent", f"a segment ends at {late:g} s, the file at {duration:g} s"
    return "", ""
