"""A corpus in, a result set out: what is still to do, who does it, what became of it.

The loop knows neither Ray nor videos: a `Pool` takes paths and gives back results, or says that
a worker was lost over one. A video that cost a worker is tried once more, after all others, so
that two bad ones cannot take turns; then it is an error row. Nothing is retried without limit.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from pipelines.result_schema import Row, flat_row
from pipelines.results import ResultSet
from pipelines.sources import Video, check_source, videos_of

TRIES = 2  # of a video whose worker was lost
WAIT = 0.5  # seconds between two looks at the workers


@dataclass(frozen=True)
class Outcome:
    """What became of a video: its result, or why its worker was lost."""

    path: str
    result: dict[str, Any] | None
    lost: str | None = None  # one sentence without the path


class Pool(Protocol):
    """Workers that judge several videos at a time."""

    def free(self) -> bool:
        """Return whether a worker waits for a video."""

    def submit(self, path: str) -> None:
        """Give a video to a worker that is free."""

    def wait(self, seconds: float) -> list[Outcome]:
        """Return what is finished, after that time at the latest."""

    def close(self) -> None:
        """Let the workers go."""


@dataclass(frozen=True)
class Progress:
    """How far a scan is; what earlier runs did is not counted."""

    total: int
    done: int
    failed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Videos a second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take; None: not known yet."""
        return (self.total - self.done) / self.rate if self.done else None


OnProgress = Callable[[Progress], None]


def todo(source: str, results: ResultSet) -> Iterator[Video]:
    """Yield the source's videos that have no row yet."""
    return (video for video in videos_of(source) if video.path not in results)


def run(
    source: str, results: ResultSet, pool: Pool, total: int, on_progress: OnProgress
) -> Progress:
    """Return how it went, when every video of the source has its row.

    Raises:
        SourceError: the source cannot be read any more.
        ResultError: the results cannot be written any more.
    """
    begin = time.perf_counter()
    progress = Progress(total, 0, 0, 0.0)
    for row in judged_rows(source, todo(source, results), pool):
        results.add(row)
        failed = progress.failed + (row["status"] == "error")
        seconds = time.perf_counter() - begin
        progress = Progress(max(total, progress.done + 1), progress.done + 1, failed, seconds)
        on_progress(progress)
    return replace(progress, seconds=time.perf_counter() - begin)


def judged_rows(source: str, videos: Iterator[Video], pool: Pool) -> Iterator[Row]:
    """Yield a row for every video, in the order in which they are finished."""
    again: deque[Video] = deque()
    unfinished: dict[str, tuple[Video, int]] = {}  # by path, with the number of the try
    while True:
        while pool.free():
            # a list may name a file twice
            video = next((v for v in videos if v.path not in unfinished), None)
            if video is not None:
                unfinished[video.path] = (video, 1)
            elif again:
                video = again.popleft()
            else:
                break
            pool.submit(video.path)
        if not unfinished and pool.free():
            return
        for outcome in pool.wait(WAIT):
            video, tries = unfinished.pop(outcome.path)
            if outcome.result is None and tries < TRIES:
                again.append(video)
                unfinished[video.path] = (video, tries + 1)
                continue
            result = outcome.result or _lost(video.path, outcome.lost)
            if result["status"] == "error":
                check_source(source)
            moment = {"tries": tries, "judged_at": datetime.now(UTC)}
            yield flat_row(result | moment, video.extra)


def _lost(path: str, cause: str | None) -> dict[str, Any]:
    """Return the result of a video that cost a worker each time."""
    error = {"type": "WorkerLost", "message": f"{path} {cause}, {TRIES} times"}
    return {"path": path, "status": "error", "error": error}
