"""How fast this machine judges: the example clip in, seconds a stage out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from rich.table import Table

from avdetect.example import example_clip

if TYPE_CHECKING:
    from pipelines.detect import Session


def measure(session: Session, seconds: int, runs: int) -> dict[str, tuple[float, float]]:
    """Return each stage's median time: seconds, and seconds of video judged in a second.

    One run before the counted ones warms caches and loads what is loaded late.
    """
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "example.mp4"
        example_clip(clip, float(seconds))
        session.detect(clip)
        elapsed = [session.detect(clip).elapsed for _ in range(runs)]
    times = {stage: median(run[stage] for run in elapsed) for stage in elapsed[0]}
    return {stage: (time, seconds / max(time, 1e-9)) for stage, time in times.items()}


def timings_table(timings: Mapping[str, tuple[float, float]]) -> Table:
    """Return the timings as a table for a terminal."""
    table = Table("stage", "seconds", "times real time", box=None, padding=(0, 2, 0, 0))
    for stage, (time, speed) in timings.items():
        table.add_row(stage, f"{time:.2f}", f"{speed:.1f}")
    return table
