"""A scan on paper: the loop of a scan with stand-ins for its workers, on a clock of its own.

What is real is the driver, with the processor time that it takes: the list of videos, the agenda,
and the rows on disk, though short ones. What is played are the workers, each of which takes as long
as some video did in an earlier scan. What Ray takes between them is left out.

    python -m pipelines.scan.simulation VERDICTS/SET --workers 1000 --videos 100000
"""

from __future__ import annotations

import heapq
import json
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from extractors.clip import Doubles
from pipelines.results.reading import read_results
from pipelines.results.result_set import ResultSet
from pipelines.scan.agenda import Outcome
from pipelines.scan.loop import run
from pipelines.scan.tasks import Task


@dataclass(frozen=True)
class Simulated:
    """What a simulated scan comes to. Times are seconds of its own clock."""

    workers: int
    videos: int
    lost: int  # times that a worker was lost
    seconds: float
    busy: float  # share of the workers' time in which they had a video, 0 to 1
    driver: float  # share of the time in which the driver was at work, 0 to 1

    @property
    def videos_per_hour(self) -> float:
        """How many videos are done in an hour."""
        return 3600 * self.videos / self.seconds


class SimulatedPool:
    """Workers that take recorded times. Its clock runs by them, and by the driver's own work."""

    def __init__(self, taken: Doubles, workers: int, losses: float = 0.0, seed: int = 0) -> None:
        """Make idle workers.

        Args:
            taken: seconds that videos took, (N,); one is drawn for each task.
            workers: their number.
            losses: how likely a task costs its worker, 0 to 1; another one is there at once.
            seed: of the draws.
        """
        self._taken, self._losses = taken, losses
        self._generator = np.random.default_rng(seed)
        self._free = workers
        self._running: list[tuple[float, int, Task]] = []  # by the time at which they end
        self._number = 0  # of the next task
        self._mark = time.process_time()
        self.now = self.worked = self.driven = 0.0
        self.lost = 0

    def free(self) -> bool:
        """Return whether a worker waits for a task."""
        return self._free > 0

    def submit(self, task: Task) -> None:
        """Give a task to a worker."""
        seconds = float(self._generator.choice(self._taken))
        self.worked += seconds
        self._free -= 1
        heapq.heappush(self._running, (self.now + seconds, self._number, task))
        self._number += 1

    def wait(self, seconds: float) -> list[Outcome]:
        """Let time pass until a task ends, at most `seconds`; return those that have ended."""
        driven = time.process_time() - self._mark
        self.driven += driven
        self.now += driven
        if self._running:
            self.now = max(self.now, min(self._running[0][0], self.now + seconds))
        outcomes = []
        while self._running and self._running[0][0] <= self.now:
            outcomes.append(self._ended(heapq.heappop(self._running)[2]))
        self._mark = time.process_time()
        return outcomes

    def close(self) -> None:
        """Do nothing: there is no process to end."""

    def _ended(self, task: Task) -> Outcome:
        self._free += 1
        if self._generator.random() < self._losses:
            self.lost += 1
            return Outcome(task, None, "ended its worker")
        return Outcome(task, {"path": task.path, "status": "ok", "verdict": "real"})


def simulate(
    taken: Doubles, workers: int, videos: int, losses: float = 0.0, seed: int = 0
) -> Simulated:
    """Return what a scan of so many videos comes to; see `SimulatedPool`."""
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "videos.txt"
        source.write_text("".join(f"{number}.mp4\n" for number in range(videos)))
        identity: dict[str, Any] = {"model": {"name": "simulated"}}
        with ResultSet(Path(name) / "results", identity) as results:
            pool = SimulatedPool(taken, workers, losses, seed)
            run(str(source), results, pool, videos, lambda progress: None)
            results.finish()
            done = len(results)
    busy, driver = pool.worked / (workers * pool.now), pool.driven / pool.now
    return Simulated(workers, done, pool.lost, pool.now, busy, driver)


def recorded_seconds(results: Path) -> Doubles:
    """Return the seconds (N,) that judging took, of each result that has them."""
    taken = (row["seconds"] for row in read_results(results).values())
    return np.array([seconds for seconds in taken if seconds is not None])


def main(arguments: list[str]) -> Iterator[str]:
    """Yield what the simulation says, a line of JSON for each number of workers."""
    parser = ArgumentParser(description="Plays a scan with many workers.")
    parser.add_argument("results", type=Path, help="of a scan, or of detect --json (.jsonl)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1000])
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument("--losses", type=float, default=0.0)
    options = parser.parse_args(arguments)
    taken = recorded_seconds(options.results)
    for workers in options.workers:
        found = simulate(taken, workers, options.videos, options.losses)
        yield json.dumps(asdict(found) | {"videos_per_hour": found.videos_per_hour})


if __name__ == "__main__":
    for line in main(sys.argv[1:]):
        sys.stdout.write(line + "\n")
