"""True segments, read from the data sets' own metadata files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from extractors.clip import Doubles
from extractors.errors import InputError
from pipelines.data.layouts.reading import json_of, lines_of


def read_segments(path: Path, fps: float = 25.0) -> tuple[dict[str, Doubles], dict[str, float]]:
    """Return the forged seconds (start, end) by video, and the durations of those that have one.

    - a list of `{"file", "fake_periods" or "fake_segments", "duration"}`: LAV-DF,
      AV-Deepfake1M and our own forgings;
    - `{"database": {"a": {"annotations": [{"segment"}], "duration"}}}`: ActivityNet;
    - lines `<n> <video> (<start frame> <frames> <0|1>) × n …`: ForgeryNet.

    Args:
        path: the file.
        fps: frame rate of ForgeryNet's labels, which are in frames; its list has no rate.

    Raises:
        InputError: the file has none of these formats.
    """
    if path.suffix == ".txt":
        return dict(_forgerynet_lines(path, fps)), {}
    data = json_of(path)
    segments: dict[str, Doubles] = {}
    lengths: dict[str, float] = {}
    try:
        for name, spans, length in _truth(data):
            if name in segments:
                raise InputError(f"a second entry for {name}")
            segments[name] = np.array(spans, dtype=float).reshape(-1, 2)
            if (np.diff(segments[name]) < 0).any():
                raise ValueError(f"{name}: expected (start, end), got an end before its start")
            if length is not None:
                lengths[name] = float(length)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        cause = str(error) if type(error) is ValueError else "has another form"
        raise InputError(
            f"{path}: no file of true segments: {cause} (known: a list of objects with file and "
            "fake_periods or fake_segments, ActivityNet's database)"
        ) from error
    return segments, lengths


def _truth(data: Any) -> Iterator[tuple[str, Any, float | None]]:
    """Yield each video's name, its forged spans, and its duration or None."""
    if isinstance(data, list):
        for entry in data:
            key = "fake_segments" if "fake_segments" in entry else "fake_periods"
            yield entry["file"], entry[key], entry.get("duration")
    else:
        for name, entry in data["database"].items():
            spans = [annotation["segment"] for annotation in entry["annotations"]]
            yield name, spans, entry.get("duration")


def _forgerynet_lines(path: Path, fps: float) -> Iterator[tuple[str, Doubles]]:
    for number, words in lines_of(path):
        try:
            count, name, *numbers = words
            triples = np.array(numbers[: 3 * int(count)], dtype=int).reshape(int(count), 3)
        except ValueError as error:
            raise InputError(
                f"{path}: line {number}: expected ForgeryNet's <segments> <video> (<start> "
                "<frames> <0|1>) a segment"
            ) from error
        start, frames = triples[triples[:, 2] == 1, :2].T
        yield name, np.stack([start, start + frames], axis=1) / fps  # [start, start + count)
