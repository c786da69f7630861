"""`avdetect benchmark --scan`: plain processes against Ray's workers on the same clips."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from avdetect.commands.benchmark_memory import SPAWN, peak_memory
from avdetect.example import example_clip
from pipelines.detection.session import WeightsSpec
from pipelines.scan.cluster import cluster
from pipelines.scan.cores import alone
from pipelines.scan.corpus import ScanConfig, scan_corpus
from pipelines.scan.detector_job import detector_job
from pipelines.scan.loop import judged_rows
from pipelines.scan.plan import plan_scan
from pipelines.scan.ray_pool import RayPool
from pipelines.scan.tasks import PieceStore
from pipelines.scan.worker import Job, Worker
from pipelines.storage.sources import Video

PATIENCE = 600.0  # seconds for a process to load, or to judge one clip


@dataclass(frozen=True)
class ScanTimes:
    """The times of a scan of `clips` clips; only `first` includes starting and loading."""

    clips: int
    workers: int
    plain: float  # seconds that `workers` plain processes take
    ray: dict[int, float]  # seconds, by the number of workers
    first: float  # seconds from the start of a scan to its first result
    memory: list[float]  # peak of its driver in megabytes at the first, middle and last result

    @property
    def overhead(self) -> float:
        """How much longer Ray takes than the same number of plain processes, as a share."""
        return self.ray[self.workers] / self.plain - 1


def measure_scan(model: WeightsSpec, seconds: int, clips: int, workers: int) -> ScanTimes:
    """Return the times of scanning `clips` copies of one clip on this machine.

    Raises:
        PlanError: there are too few cores.
        PoolError: Ray cannot start here.
        RuntimeError: a process crashed or hung.
    """
    os.environ.setdefault("RAY_worker_niceness", "0")  # that of plain processes
    expected = model.load().model
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "clips"
        folder.mkdir()
        example_clip(folder / "0.mp4", seconds)
        for number in range(1, clips):
            shutil.copy(folder / "0.mp4", folder / f"{number}.mp4")
        paths = [str(folder / f"{number}.mp4") for number in range(clips)]
        plain = _time_plainly(partial(detector_job, model), expected, paths, workers)
        load = partial(alone, 1, partial(detector_job, model))
        with cluster(None) as found:
            ray = {}
            for count in sorted({1, workers}):
                plan = plan_scan(found, model.device, count, cores=1)
                ray[count] = _time_pool(RayPool(load, expected, plan), paths, count)
        first, memory = _time_start(folder, ScanConfig(model, workers))
    return ScanTimes(clips, workers, plain, ray, first, memory)


def _time_plainly(
    job: Callable[[], Job], expected: Mapping[str, object], paths: list[str], workers: int
) -> float:
    """Return the seconds that plain processes take, once each of them has judged a clip."""
    todo: Queue[str | None] = SPAWN.Queue()
    done: Queue[Any] = SPAWN.Queue()
    loaded = SPAWN.Barrier(workers + 1)
    for path in [*paths, *[None] * workers]:
        todo.put(path)
    arguments = (job, expected, paths[0], loaded, todo, done)
    processes = [SPAWN.Process(target=_work, args=arguments, daemon=True) for _ in range(workers)]
    try:
        for process in processes:
            process.start()
        loaded.wait(PATIENCE)
        begin = time.perf_counter()
        for _ in _received(done, len(paths)):
            pass
        return time.perf_counter() - begin
    finally:
        for process in processes:
            process.kill()


def _work(
    job: Callable[[], Job],
    expected: Mapping[str, object],
    first: str,
    loaded: Barrier,
    todo: Queue[str | None],
    done: Queue[Any],
) -> None:
    """Judge the clips of a queue, as a worker of a scan does."""
    worker = Worker(partial(alone, 1, job), expected)
    worker.run(first)
    loaded.wait(PATIENCE)
    while path := todo.get():
        done.put(worker.run(path))


def _time_pool(pool: RayPool, paths: list[str], workers: int) -> float:
    """Return the seconds that Ray's workers take, once each of them has judged a clip."""
    try:
        while pool.idle < workers:
            pool.wait(1.0)
        _judge(pool, paths[:workers])
        begin = time.perf_counter()
        _judge(pool, paths)
        return time.perf_counter() - begin
    finally:
        pool.close()


def _judge(pool: RayPool, paths: list[str]) -> None:
    pieces = PieceStore(Path(paths[0]).parent / "pieces")
    for _ in judged_rows(None, iter([Video(path) for path in paths]), pool, pieces):
        pass


def _time_start(source: Path, config: ScanConfig) -> tuple[float, list[float]]:
    """Return the seconds to the first result of a whole scan, and the memory of its driver."""
    reports: Queue[Any] = SPAWN.Queue()
    arguments = (str(source), source.with_name("results"), config, reports)
    driver = SPAWN.Process(target=_scan, args=arguments)
    begin = time.perf_counter()
    driver.start()
    try:
        clips = len(list(source.iterdir()))
        moments = list(_received(reports, clips))
    finally:
        driver.join(PATIENCE)
    memory = [peak for _, peak in moments]
    return moments[0][0] - begin, [memory[0], memory[clips // 2], memory[-1]]


def _scan(source: str, out: Path, config: ScanConfig, reports: Queue[Any]) -> None:
    """Scan as the command does, and report time and peak memory after each clip."""

    def on_progress(_: object) -> None:
        reports.put((time.perf_counter(), peak_memory()))

    scan_corpus(source, out, config, lambda _: None, on_progress)


def _received(queue: Queue[Any], count: int) -> Iterator[Any]:
    """Yield `count` messages from other processes; raises RuntimeError if none comes for long."""
    from queue import Empty

    for _ in range(count):
        try:
            yield queue.get(timeout=PATIENCE)
        except Empty:
            raise RuntimeError(
                f"a process of the benchmark did nothing for {PATIENCE:g} s"
            ) from None


def scan_table(times: ScanTimes) -> Group:
    """Return the times for a terminal."""
    table = Table("", "seconds", "a clip", "speed", box=None, padding=(0, 2, 0, 0))
    rows = {f"plain, {_number(times.workers, 'process', 'es')}": times.plain}
    rows |= {f"Ray, {_number(n, 'worker', 's')}": taken for n, taken in times.ray.items()}
    for name, seconds in rows.items():
        speed = times.ray[1] / seconds
        table.add_row(name, f"{seconds:.1f}", f"{seconds / times.clips:.2f}", f"{speed:.2f}")
    memory = ", ".join(f"{peak:.0f}" for peak in times.memory)
    return Group(
        table,
        Text(f"Ray takes {100 * times.overhead:.1f} % longer than the plain processes"),
        Text(f"first result of a scan: after {times.first:.1f} s"),
        Text(f"its driver's memory at the first, middle and last result: {memory} MB"),
    )


def _number(count: int, noun: str, plural: str) -> str:
    return f"{count} {noun}{plural if count > 1 else ''}"
