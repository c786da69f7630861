"""A corpus in, a result set out: what is still to do, who does it, what became of it.

The loop knows neither Ray nor videos: a `Pool` takes tasks and gives back results, or says that
a worker was lost over one. Which task comes next, and what is tried again, is the `Agenda`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from pipelines.results.result_set import ResultSet
from pipelines.results.row_schema import Row, flat_row
from pipelines.scan.agenda import Agenda, Outcome
from pipelines.scan.tasks import PieceStore, Task
from pipelines.storage.local_copy import ScratchError
from pipelines.storage.sources import Video, check_source, videos_of
from pipelines.storage.tables import OUR_NAMES, Columns

WAIT = 0.5  # seconds between two looks at the workers


class Pool(Protocol):
    """Workers that do several tasks at a time."""

    def free(self) -> bool:
        """Return whether a worker waits for a task."""

    def submit(self, task: Task) -> None:
        """Give a task to a worker that is free."""

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


def todo(source: str, results: ResultSet, columns: Columns = OUR_NAMES) -> Iterator[Video]:
    """Yield the source's videos that have no row yet; `columns` as in `videos_of`."""
    return (video for video in videos_of(source, columns) if video.path not in results)


def run(
    source: str,
    results: ResultSet,
    pool: Pool,
    total: int,
    on_progress: OnProgress,
    columns: Columns = OUR_NAMES,
) -> Progress:
    """Return how it went, when every video of the source has its row.

    Raises:
        SourceError: the source cannot be read any more.
        ResultError: the results cannot be written any more.
        ScratchError: a worker has no room for copies of remote videos.
    """
    begin = time.perf_counter()
    progress = Progress(total, 0, 0, 0.0)
    pieces = PieceStore(results.folder / "pieces")
    for row in judged_rows(source, todo(source, results, columns), pool, pieces):
        results.add(row)
        failed = progress.failed + (row["status"] == "error")
        seconds = time.perf_counter() - begin
        progress = Progress(max(total, progress.done + 1), progress.done + 1, failed, seconds)
        on_progress(progress)
    pieces.clear()
    return replace(progress, seconds=time.perf_counter() - begin)


def judged_rows(
    source: str | None, videos: Iterator[Video], pool: Pool, pieces: PieceStore
) -> Iterator[Row]:
    """Yield a row for every video, in the order in which they are finished.

    source: where they come from, which must still be there when one fails; None: nowhere.

    Raises:
        SourceError: the source cannot be read any more.
        ResultError: the pieces of long videos cannot be written.
        ScratchError: a worker has no room for copies of what it is to judge.
    """
    agenda = Agenda(videos, pieces)
    while True:
        while pool.free():
            task = agenda.next()
            if task is None:
                break
            pool.submit(task)
        if agenda.empty and pool.free():
            return
        for outcome in pool.wait(WAIT):
            if outcome.result and outcome.result["status"] == "stopped":
                raise ScratchError(outcome.result["message"])
            finished = agenda.settle(outcome)
            if finished is None:
                continue
            if finished.result["status"] == "error" and source is not None:
                check_source(source)
            moment = {"judged_at": datetime.now(UTC)}
            yield flat_row(finished.result | moment, finished.video.extra)
            pieces.forget(finished.video.path, finished.spans)
