"""Videos in, tasks out in the order in which they are to be done, until every video has a result.

A video that cost a worker is tried once more, after all others, so that two bad ones cannot take
turns; then that is its result. Nothing is retried without limit. The shards of a long video come
before the next video, so that no film is what the end of a corpus waits for.
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
    """What became of a task: its result, or why its worker was lost."""

    task: Task
    result: dict[str, Any] | None
    lost: str | None = None  # one sentence without the path


@dataclass(frozen=True)
class Finished:
    """A video and its result, whatever it is, and the shards that it was judged in."""

    video: Video
    result: dict[str, Any]
    spans: Sequence[range]


@dataclass
class _Unfinished:
    """A video that was begun."""

    video: Video
    spans: Sequence[range] = ()  # its shards, once it is known to be long
    again: set[Task] = field(default_factory=set)  # tasks that cost a worker
    seconds: float = 0.0  # that workers were busy with it


class Agenda:
    """What is to be done, and what is known of the videos that were begun."""

    def __init__(self, videos: Iterator[Video], pieces: PieceStore) -> None:
        self._videos, self._pieces = videos, pieces
        self._first: deque[Task] = deque()
        self._last: deque[Task] = deque()
        self._unfinished: dict[str, _Unfinished] = {}

    @property
    def empty(self) -> bool:
        """Whether every video that was begun has its result."""
        return not self._unfinished

    def next(self) -> Task | None:
        """Return the next task, None where there is none at the moment."""
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
        """Take in what became of a task; return the video where that was the last of it.

        Raises:
            ResultError: the piece of a long video cannot be written.
        """
        task, result = outcome.task, outcome.result
        known = self._unfinished.get(task.path)
        if known is None:  # a shard of a video that has failed meanwhile
            return None
        if result is None:
            if task not in known.again:
                known.again.add(task)
                self._last.append(task)
                return None
            result = _lost(task.path, outcome.lost)
        known.seconds += result.get("seconds", 0.0)
        if result["status"] == "long":
            known.spans = result["spans"]
            self._first.extend(self._pieces.left(task.path, known.spans))
            return None
        if result["status"] == "piece" and task.span is not None:
            self._pieces.keep(task.path, task.span, result["piece"])
            left = self._pieces.left(task.path, known.spans)
            self._first.extend(t for t in left if t.pieces)
            return None
        del self._unfinished[task.path]
        facts = {"tries": 2 if known.again else 1, "seconds": round(known.seconds, 3)}
        return Finished(known.video, result | facts, known.spans)

    def _pop(self, tasks: deque[Task]) -> Task | None:
        while tasks:
            task = tasks.popleft()
            if task.path in self._unfinished:  # else a shard of a video that has failed meanwhile
                return task
        return None


def _lost(path: str, cause: str | None) -> dict[str, Any]:
    """Return the result of a video that cost a worker each time."""
    error = {"type": "WorkerLost", "message": f"{path} {cause}, {TRIES} times"}
    return {"path": path, "status": "error", "error": error}
