"""The loop of a scan: it submits tasks to workers and keeps their results.

The loop depends on neither Ray nor media: a `Pool` takes tasks and returns outcomes. Which task
comes next, and what is retried, is decided by the `Agenda`.
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

WAIT = 0.5  # seconds between two polls of the workers


class Pool(Protocol):
    """Workers that run tasks in parallel."""

    def free(self) -> bool:
        """Return whether a worker waits for a task."""

    def submit(self, task: Task) -> None:
        """Give a task to a worker that is free."""

    def wait(self, seconds: float) -> list[Outcome]:
        """Return the outcomes of finished tasks, after at most `seconds`."""

    def close(self) -> None:
        """End the workers."""


@dataclass(frozen=True)
class Progress:
    """The progress of a scan, in numbers of videos; those of earlier runs are not counted."""

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
        """Estimated seconds that remain; None: unknown yet."""
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
    """Judge the source until every video has its row, and return the final progress.

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

    source: of the videos; when one fails, it must still exist. None: it is not checked.

    Raises:
        SourceError: the source cannot be read any more.
        ResultError: the pieces of long videos cannot be written.
        ScratchError: a worker has no room for copies of remote videos.
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
