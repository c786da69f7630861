"""Reading of proposed segments in the field's file formats.

The format is recognised by the file's content. Video names stay as the file spells them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from extractors.clip import Doubles
from extractors.errors import InputError
from pipelines.results.reading import is_results, read_results, segment_table

_DECODER = json.JSONDecoder()


def read_proposals(path: Path) -> dict[str, Doubles]:
    """Return rows (score, start, end) by video, in the file's order and unit.

    - `{"a.mp4": [[score, begin, end], …]}`: LAV-DF (in frames) and AV-Deepfake1M (in seconds);
    - `{"results": {"a": [{"score": …, "segment": [start, end]}, …]}}`: ActivityNet;
    - our results, JSON lines or a scan's: by their paths, with no rows where not judged.

    Videos are converted to arrays one by one, so that a file of millions of rows fits in memory.

    Raises:
        InputError: the file has none of these forms, or a video twice.
    """
    if is_results(path):
        return {name: proposal_table(row) for name, row in read_results(path).items()}
    proposals: dict[str, Doubles] = {}
    try:
        text = path.read_text(encoding="utf-8")
        for name, rows in _members(text, "results"):
            if name in proposals:
                raise InputError(f"a second entry for {name}")
            proposals[name] = _proposal_table(rows)
        return proposals
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        cause = f"has no {error}" if isinstance(error, KeyError) else error
        raise InputError(f"{path}: no file of proposed segments: {cause}") from error


def read_reported(path: Path) -> dict[str, Doubles] | None:
    """Return the reported segments (score, start, end) of our results; None for others' files.

    `read_proposals` returns their candidates, which include lower scores.
    """
    if not is_results(path):
        return None
    return {name: segment_table(row.get("segments")) for name, row in read_results(path).items()}


def matched(predictions: Mapping[str, Doubles], truth: Mapping[str, Doubles]) -> dict[str, Doubles]:
    """Return the predictions under the truth's names, matched by the end of their paths.

    A video that is not in the truth keeps its name; the protocol decides how it counts.
    """
    by_stem = {str(Path(name).with_suffix("")): name for name in truth}
    renamed: dict[str, Doubles] = {}
    for name, rows in predictions.items():
        parts = Path(name).parts
        tails = ["/".join(parts[i:]) for i in range(len(parts))]
        matches = [tail for tail in tails if tail in truth] or [
            by_stem[stem] for tail in tails if (stem := str(Path(tail).with_suffix(""))) in by_stem
        ]
        key = name if name in truth else (matches or [name])[0]
        if key in renamed:
            raise InputError(f"two predictions for {key}")
        renamed[key] = rows
    return renamed


def _members(text: str, wrapper: str) -> Iterator[tuple[str, Any]]:
    """Yield the members of a JSON object that are lists, or those of its member `wrapper`."""
    place = _skip(text, 0)
    if text[place : place + 1] != "{":
        raise InputError("expected a JSON object")
    place = _skip(text, place + 1)
    while text[place : place + 1] == '"':
        name, place = _DECODER.raw_decode(text, place)
        place = _skip(text, _skip(text, place) + 1)  # the colon
        if name == wrapper and text[place : place + 1] == "{":
            yield from _members(text[place:], wrapper)
            return
        value, place = _DECODER.raw_decode(text, place)
        if isinstance(value, list):  # ActivityNet's files also have "version", "external_data"
            yield name, value
        place = _skip(text, place)
        if text[place : place + 1] == ",":
            place = _skip(text, place + 1)
    if text[place : place + 1] != "}":
        raise InputError(f"no JSON from character {place} on")


def _skip(text: str, place: int) -> int:
    """Return the position after the white space at a position."""
    while text[place : place + 1] in (" ", "\n", "\r", "\t"):
        place += 1
    return place


def _proposal_table(rows: list[Any]) -> Doubles:
    """Return rows (score, start, end) from lists or from ActivityNet's objects."""
    flat = [[row["score"], *row["segment"]] if isinstance(row, dict) else row for row in rows]
    if any(len(row) != 3 for row in flat):
        raise InputError("expected rows (score, start, end)")
    table = np.array(flat, dtype=float).reshape(-1, 3)
    wrong = (table[:, 2] < table[:, 1]) | (table[:, 0] < 0) | (table[:, 0] > 1)
    if wrong.any():
        raise InputError(
            "expected rows (score, start, end) with a score from 0 to 1 and the end after the "
            f"start, got {table[wrong][0].tolist()}; are the columns in another order?"
        )
    return table


def proposal_table(result: Mapping[str, Any]) -> Doubles:
    """Return rows (score, start, end) of a result's candidates, or of its segments without any."""
    candidates: Doubles | None = result.get("candidates")
    return segment_table(result.get("segments")) if candidates is None else candidates
