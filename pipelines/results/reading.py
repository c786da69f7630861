"""Reading of result files: JSON lines, a scan's Parquet files, or a table of scores.

They are read piece by piece, and only the fields that an evaluation needs stay in memory.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from extractors.errors import InputError
from pipelines.storage.tables import OUR_NAMES, Columns, open_table
from temporal.segment import MODALITIES

Row = dict[str, Any]
log = logging.getLogger(__name__)


SCORES = ("score", *(f"{m}_score" for m in MODALITIES))
KEPT = (
    "path", "status", "verdict", *SCORES, "segments", "candidates", "media", "model", "elapsed",
)  # fmt: skip


def is_results(path: Path, columns: Columns = OUR_NAMES) -> bool:
    """Return whether a path holds results: .jsonl, .parquet, a scan's folder, a .csv of scores.

    Raises:
        InputError, OSError: see `open_table`.
    """
    if path.suffix.lower() in (".csv", ".tsv"):
        return "path" in open_table(path, columns).kinds
    return path.suffix in (".jsonl", ".parquet") or path.is_dir()


def read_results(
    path: Path, timelines: bool = False, columns: Columns = OUR_NAMES
) -> dict[str, Row]:
    """Return results by their `path`.

    Args:
        path: JSON objects, one a line (.jsonl), a Parquet file, the folder of `avdetect scan`, or
            a table (.csv, .tsv) of `path` and scores, of which `score` is required.
        timelines: also keep each result's scores of every step, as an array (T, 3) float32 with
            NaN where a modality was not judged.
        columns: our column names -> the file's.

    `seconds` is the time that judging took, if the result has it; `candidates`, if it has any, are
    rows (score, start, end). A warning counts results without, which older scans wrote.

    Raises:
        InputError: a line is no result, two are of one path, a score is no probability, or the
            folder holds no result set.
    """
    results: dict[str, Row] = {}
    models: dict[str, Row] = {}
    for place, row in _rows(path, timelines, columns):
        if row["path"] in results:
            raise InputError(f"{place}: a second result for {Path(row['path']).name}")
        wrong = {n: row[n] for n in SCORES if not _probability(row.get(n))}
        if wrong:
            raise InputError(f"{place}: expected scores from 0 to 1 or none, got {wrong}")
        if row.get("model"):  # one object for all: there are few models and many results
            row["model"] = models.setdefault(json.dumps(row["model"], sort_keys=True), row["model"])
        row["seconds"] = (row.pop("elapsed", None) or {}).get("total")
        results[row["path"]] = row
    if lacking := without_candidates(results.values()):
        log.warning(
            "%s: %d results have no candidates; where segments are ranked, what they report stands "
            "in, and AP and AR are lower than the detector's",
            path, lacking,
        )  # fmt: skip
    return results


def without_candidates(results: Iterable[Mapping[str, Any]]) -> int:
    """Return the number of judged clips without candidates."""
    return sum(row.get("status") == "ok" and "candidates" not in row for row in results)


def _probability(score: object) -> bool:
    """Return whether a score is a number in [0, 1], or None for a file that was not judged."""
    return score is None or (isinstance(score, int | float) and 0 <= score <= 1)


def models(results: Mapping[str, Row]) -> list[Row]:
    """Return the models that made the results, each once: name, version and sha256."""
    return list({id(m): dict(m) for row in results.values() if (m := row.get("model"))}.values())


def results_of(paths: Sequence[Path], results: Mapping[str, Row]) -> dict[str, Row]:
    """Return the results under the paths of the truth, without those of other files.

    A corpus may have been judged elsewhere: a file and its result are matched by the longest common
    end of their paths. A name that is unique on both sides suffices.
    """
    ours, theirs = [path.parts for path in paths], {name: Path(name).parts for name in results}
    matches: dict[str, Row] = {}
    free = set(results)
    for length in range(max(map(len, [*ours, *theirs.values()]), default=0), 0, -1):
        our_tails = Counter(parts[-length:] for parts in ours if len(parts) >= length)
        their_tails = Counter(parts[-length:] for parts in theirs.values() if len(parts) >= length)
        single = {
            parts[-length:]: name
            for name, parts in theirs.items()
            if len(parts) >= length and their_tails[parts[-length:]] == 1 and name in free
        }
        for path, parts in zip(paths, ours, strict=True):
            name = single.get(parts[-length:]) if our_tails[parts[-length:]] == 1 else None
            if name is not None and str(path) not in matches:
                matches[str(path)] = results[name]
                free.discard(name)
    return matches


def _rows(path: Path, timelines: bool, columns: Columns) -> Iterator[tuple[str, Row]]:
    """Yield each result's place, for error messages, and the result."""
    if path.suffix.lower() in (".csv", ".tsv"):
        yield from _score_rows(path, columns)
        return
    if path.suffix == ".jsonl":
        yield from _lines(path, timelines, columns)
        return
    if path.suffix != ".parquet" and not path.is_dir():
        raise InputError(f"{path}: expected results: .jsonl, .parquet, .csv or a scan's folder")
    for part in [path] if path.is_file() else _parts(path):
        curves = _curves(part.parent.parent / "timelines" / part.name) if timelines else {}
        for row in _parquet_rows(part, KEPT, columns):
            candidates = row.pop("candidates", None)
            if candidates is not None:
                row["candidates"] = segment_table(candidates)
            if timelines and row["path"] in curves:
                row["timeline"] = curves[row["path"]]
            yield str(part), row


def _score_rows(path: Path, columns: Columns) -> Iterator[tuple[str, Row]]:
    """Yield the scores of the clips in a table; an empty cell is no score."""
    table = open_table(path, columns)
    table.need("path", "score")
    scores = [name for name in SCORES if name in table.kinds]
    for place, row in table.rows():
        try:
            yield (
                place,
                {
                    "path": row["path"] or "",
                    **{name: float(row[name]) if row[name] else None for name in scores},
                },
            )
        except ValueError as error:
            cells = [row[name] for name in scores]
            raise InputError(f"{place}: expected scores from 0 to 1, got {cells}") from error


def _lines(path: Path, timelines: bool, columns: Columns) -> Iterator[tuple[str, Row]]:
    for number, line in _text_lines(path):
        try:
            result = json.loads(line)
            if not isinstance(result, dict):
                raise ValueError("expected a JSON object")
            result |= {ours: result[name] for ours, name in columns.items() if name in result}
            row = {name: result[name] for name in KEPT if name in result}
            _check(row)
            if "candidates" in result:
                row["candidates"] = segment_table(result["candidates"])
            if timelines and result.get("timeline"):
                row["timeline"] = _curve(result["timeline"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            cause = f"has no {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{path}: line {number} is no result: {cause}") from error
        yield f"{path}: line {number}", row


def _text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is not blank."""
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text in UTF-8 ({error.reason})") from error


def _check(row: Row) -> None:
    """Check the types of a result's fields.

    Raises:
        TypeError, KeyError, ValueError: one is wrong or missing.
    """
    if not isinstance(row["path"], str):
        raise TypeError(f"path is no text: {row['path']!r}")
    if not isinstance(row.get("segments"), list | None):
        raise TypeError(f"segments is no list: {row['segments']!r}")
    segment_table(row.get("segments"))
    for name in ("media", "model", "elapsed"):
        if not isinstance(row.get(name), Mapping | None):
            raise TypeError(f"{name} is no object: {row[name]!r}")


def segment_table(segments: Iterable[Mapping[str, Any]] | None) -> npt.NDArray[np.float64]:
    """Return rows (score, start, end) of a result's segments."""
    rows = [[s["score"], s["start"], s["end"]] for s in segments or ()]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def _parts(folder: Path) -> list[Path]:
    """Return the finished parts of the one result set in a folder."""
    sets = sorted({part.parent for part in folder.glob("**/results/part-*.parquet")})
    if len(sets) != 1:
        names = ", ".join(str(place.parent) for place in sets) or "none"
        raise InputError(f"{folder}: expected one result set, found {names}")
    return sorted(sets[0].glob("part-*.parquet"))


def _parquet_rows(part: Path, names: Iterable[str], columns: Columns = OUR_NAMES) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(part) as file:
            own = file.schema_arrow.names
            theirs = {n: columns[n] if columns.get(n) in own else n for n in names}
            present = {ours: name for ours, name in theirs.items() if name in own}
            if "path" not in present:
                raise InputError(f"{part}: has no column 'path'; found {', '.join(own)}")
            for batch in file.iter_batches(batch_size=1024, columns=list(present.values())):
                for row in batch.to_pylist():
                    yield {ours: row[name] for ours, name in present.items()}
    except pyarrow.ArrowException as error:
        raise InputError(f"{part}: not a Parquet file that can be read: {error}") from error


def _curves(part: Path) -> dict[str, npt.NDArray[np.float32]]:
    if not part.exists():
        return {}
    return {row["path"]: _curve(row) for row in _parquet_rows(part, ("path", *MODALITIES))}


def _curve(timeline: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Return a timeline as an array (T, 3), NaN where there is no score."""
    curves = [timeline.get(name) for name in MODALITIES]
    steps = max(len(curve or ()) for curve in curves)
    table = np.full((steps, len(MODALITIES)), np.nan, dtype=np.float32)
    for column, curve in enumerate(curves):
        if curve:
            table[:, column] = np.array(curve, dtype=np.float32)  # None becomes NaN
    return table
