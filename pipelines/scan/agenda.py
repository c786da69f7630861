"""The agenda of a scan: the order of its tasks, until every video has a result.

A video over which a worker was lost is retried once, after all others, so that two bad ones cannot
alternate; a second loss is its result. Nothing is retried without limit. The shards of a long video
come before the next video, so that the end of a corpus does not wait for one film.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.scan.tasks import PieceStore, Task
from pipelines.storage.sources import Video

TRIES = 2  # of a task whose worker was lost


@dataclass(frozen=True)
class Outcome:
    """The outcome of a task: its result, or why its worker was lost."""

    task: Task
    result: dict[str, Any] | None
    lost: str | None = None  # one sentence without the path


@dataclass(frozen=True)
class Finished:
    """A video with its result, ok or error, and the shards that it was judged in."""

    video: Video
    result: dict[str, Any]
    spans: Sequence[range]


@dataclass
class _Unfinished:
    """A video that was started and has no result yet."""

    video: Video
    spans: Sequence[range] = ()  # its shards, if it turned out to be long
    again: set[Task] = field(default_factory=set)  # tasks over which a worker was lost
    seconds: float = 0.0  # that workers were busy with it


class Agenda:
    """The tasks that remain, and the state of the videos that were started."""

    def __init__(self, videos: Iterator[Video], pieces: PieceStore) -> None:
        self._videos, self._pieces = videos, pieces
        self._first: deque[Task] = deque()
        self._last: deque[Task] = deque()
        self._unfinished: dict[str, _Unfinished] = {}

    @property
    def empty(self) -> bool:
        """Whether every video that was started has its result."""
        return not self._unfinished

    def next(self) -> Task | None:
        """Return the next task; None: there is none at the moment."""
        task = self._pop(self._first)
        if task is not None:
            return task
        # a list may name a file twice
        video = next((v for v in self._videos if v.path not in self._unfinished), None)
        if video is None:
            return self._pop(self._last)
        self._unfinished[video.path] = _Unfinished(video)
        return Task(video.path)

    def settle(self, outcome: Outcome) -> Finished | None:
        """Take in the outcome of a task, and return its video if that completes it.

        Raises:
            ResultError: the piece of a long video cannot be written.
        """
        task, result = outcome.task, outcome.result
        state = self._unfinished.get(task.path)
        if state is None:  # a shard of a video that has failed meanwhile
            return None
        if result is None:
            if task not in state.again:
                state.again.add(task)
                self._last.append(task)
                return None
            result = _lost(task.path, outcome.lost)
        state.seconds += result.get("seconds", 0.0)
        if result["status"] == "long":
            state.spans = result["spans"]
            self._first.extend(self._pieces.left(task.path, state.spans))
            return None
        if result["status"] == "piece" and task.span is not None:
            self._pieces.keep(task.path, task.span, result["piece"])
            left = self._pieces.left(task.path, state.spans)
            self._first.extend(t for t in left if t.pieces)
            return None
        del self._unfinished[task.path]
        facts = {"tries": 2 if state.again else 1, "seconds": round(state.seconds, 3)}
        return Finished(state.video, result | facts, state.spans)

    def _pop(self, tasks: deque[Task]) -> Task | None:
        while tasks:
            task = tasks.popleft()
            if task.path in self._unfinished:  # else a shard of a video that has failed meanwhile
                return task
        return None


def _lost(path: str, cause: str | None) -> dict[str, Any]:
    """Return the result of a video over which a worker was lost each time."""
    error = {"type": "WorkerLost", "message": f"{path} {cause}, {TRIES} times"}
    return {"path": path, "status": "error", "error": error}
