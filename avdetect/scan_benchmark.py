"""How a scan scales here: clips in, seconds by a plain loop, one Ray worker and several out."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from avdetect.example import example_clip
from pipelines.jobs import RayPool, cluster
from pipelines.pieces import PieceStore
from pipelines.scan import Pool, judged_rows
from pipelines.scan_plan import plan_scan
from pipelines.scan_worker import LoopPool, Model
from pipelines.sources import Video

PLAIN = "plain loop"


def measure_scan(model: Model, seconds: int, clips: int, workers: int) -> dict[str, float]:
    """Return seconds that so many clips take a plain loop, one Ray worker, and several.

    Each judges one clip a worker before its clock starts, so that the time to start and to load
    is left out; the last entry tells how long that took.
    """
    judge = model.load_alone()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        example_clip(folder / "0.mp4", seconds)
        for number in range(1, clips):
            shutil.copy(folder / "0.mp4", folder / f"{number}.mp4")
        paths = [str(folder / f"{number}.mp4") for number in range(clips)]
        taken = {PLAIN: _timed(paths, LoopPool(judge), 1)}
        begin = time.perf_counter()
        with cluster(None) as found:
            for count in (1, workers):
                plan = plan_scan(found, model.device, count)
                pool = RayPool(model.load_alone, judge.model, plan)
                taken[f"Ray, workers: {count}"] = _timed(paths, pool, count)
                if count == 1:
                    total = time.perf_counter() - begin
                    taken["start of Ray and first clip"] = total - taken["Ray, workers: 1"]
    return taken


def _timed(paths: list[str], pool: Pool, workers: int) -> float:
    """Return the seconds that the paths take, once every worker has judged one."""
    try:
        while isinstance(pool, RayPool) and pool.idle < workers:
            pool.wait(1.0)
        _judge(paths[:workers], pool)
        begin = time.perf_counter()
        _judge(paths, pool)
        return time.perf_counter() - begin
    finally:
        pool.close()


def _judge(paths: list[str], pool: Pool) -> list[dict[str, Any]]:
    videos = iter([Video(path) for path in paths])
    return list(judged_rows(paths[0], videos, pool, PieceStore(Path(paths[0]).parent / "pieces")))


def scan_table(taken: Mapping[str, float], clips: int) -> Table:
    """Return the times as a table for a terminal."""
    table = Table("", "seconds", "a clip", "speed", box=None, padding=(0, 2, 0, 0))
    for name, seconds in taken.items():
        times = (f"{seconds / clips:.2f}", f"{taken[PLAIN] / seconds:.2f}")
        table.add_row(name, f"{seconds:.1f}", *(times if "start" not in name else ("", "")))
    return table
