"""`avdetect benchmark`: what each stage costs on an example clip, against plain decoding."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, cast

from rich.table import Table

from extractors.decoding.picture import plain_frames

if TYPE_CHECKING:
    from pipelines.detection.session import DetectorSession

PLAIN = "plain decoding"


@dataclass(frozen=True)
class Cost:
    """What a stage takes, in seconds."""

    wall: float
    processor: float  # of all cores together


def measure(session: DetectorSession, clip: Path, runs: int) -> dict[str, Cost]:
    """Return what each stage costs, and plain decoding of the same file.

    Both are timed in turn, so that a machine that slows down slows both. A first run, which is not
    counted, warms caches and loads lazy imports. Wall times are medians of `runs`; processor times,
    which hardly vary, are of one run more. What runs in the background counts for the stage during
    which it runs.
    """
    session.detect(clip)
    wall = [_timed(session, clip, time.perf_counter) for _ in range(runs)]
    worked = _timed(session, clip, processor_time)
    return {stage: Cost(median(run[stage] for run in wall), worked[stage]) for stage in worked}


def _timed(session: DetectorSession, clip: Path, clock: Callable[[], float]) -> dict[str, float]:
    """Return the seconds of plain decoding and of each stage by a clock."""
    session.clock = clock
    begin = clock()
    decode_plainly(clip)
    plain = clock() - begin
    return {PLAIN: plain, **cast("dict[str, float]", session.detect(clip).elapsed)}


def decode_plainly(clip: Path) -> None:
    """Decode all frames and drop them."""
    for _ in plain_frames(clip):
        pass


def cost_of(work: Callable[[], object]) -> Cost:
    """Return what a function takes."""
    begin = time.perf_counter(), processor_time()
    work()
    return Cost(time.perf_counter() - begin[0], processor_time() - begin[1])


def processor_time() -> float:
    """Return the processor seconds of this process and of those it started that have ended."""
    return sum(os.times()[:4])


def costs_table(title: str, costs: Mapping[str, Cost], seconds: int) -> Table:
    """Return the costs on a clip of so many seconds as a table for a terminal."""
    columns = title, "seconds", "processor", "of plain decoding", "times real time"
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for stage, cost in costs.items():
        share, speed = cost.wall / costs[PLAIN].wall, seconds / max(cost.wall, 1e-9)
        table.add_row(
            stage, f"{cost.wall:.2f}", f"{cost.processor:.2f}", f"{share:.2f}", f"{speed:.1f}"
        )
    return table
