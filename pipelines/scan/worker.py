"""One video in, its result as plain values out: what every worker of a scan does."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol

from extractors.media import MediaError
from pipelines.detection.shards import LongVideoError
from pipelines.scan.agenda import Outcome
from pipelines.scan.tasks import Task
from pipelines.storage.local_copy import ScratchError, local_copy, scratch_folder

if TYPE_CHECKING:
    from pipelines.progress import OnStep


class Judged(Protocol):
    """A verdict, as far as a scan needs it."""

    def to_dict(self) -> Mapping[str, Any]:
        """Return the result as plain values: schema 1."""


class Judge(Protocol):
    """What gives the verdicts: a `DetectorSession`, or a stand-in."""

    @property
    def model(self) -> Mapping[str, object]:
        """Name, version and digest of the weights."""

    def detect(self, path: str | PathLike[str], on_step: OnStep | None = None) -> Judged:
        """Return the verdict on one file, or raise MediaError or LongVideoError."""

    def judge_shard(
        self, path: str | PathLike[str], span: range, on_step: OnStep | None = None
    ) -> bytes:
        """Return the piece of one shard of a file, or raise MediaError."""

    def join(self, path: str | PathLike[str], shards: Sequence[bytes]) -> Judged:
        """Return the verdict on the file of which these are all pieces."""


class Worker:
    """Judges one video at a time, in one thread, and can be asked how far it is."""

    def __init__(self, load_judge: Callable[[], Judge], expected: Mapping[str, object]) -> None:
        """Load what judges.

        Raises:
            ValueError: other weights are on this machine than the results belong to.
        """
        self._judge = load_judge()
        if self._judge.model != expected:
            raise ValueError(f"expected the model {expected}, got {self._judge.model}")
        self._scratch = scratch_folder()
        self._signs = 0

    def ready(self) -> None:
        """Return when the model is loaded."""

    def signs(self) -> int:
        """Return a number that rises while there is progress on the video."""
        return self._signs

    def judge(
        self, path: str, span: range | None = None, pieces: Sequence[bytes] = ()
    ) -> dict[str, Any]:
        """Return the result of a file or object as plain values, also where it is unreadable.

        Of a long video, that is the `spans` to take instead; of one of them, its `piece`; and of
        all `pieces`, what the file would give if it were not long. Where nothing can be judged
        here, because the disk is full, it is the `message` that says so.
        """
        begin, self._signs = time.perf_counter(), 0
        try:
            if pieces:
                result = dict(self._judge.join(path, pieces).to_dict())
            else:
                result = self._judged(path, span)
        except MediaError as error:
            result = {"status": "error", "error": {"type": "MediaError", "message": str(error)}}
        except LongVideoError as error:
            result = {"status": "long", "spans": error.spans}
        except ScratchError as error:
            result = {"status": "stopped", "message": str(error)}
        return result | {"path": path, "seconds": round(time.perf_counter() - begin, 3)}

    def _judged(self, path: str, span: range | None) -> dict[str, Any]:
        with local_copy(path, self._scratch, self._sign) as file:
            try:
                if span is None:
                    return dict(self._judge.detect(file, self._sign).to_dict())
                return {"status": "piece", "piece": self._judge.judge_shard(file, span, self._sign)}
            except MediaError as error:
                raise MediaError(str(error).replace(str(file), path)) from error

    def _sign(self, *_: int) -> None:
        self._signs += 1


class LoopPool:
    """One worker in this process: the same work without Ray."""

    def __init__(self, judge: Judge) -> None:
        self._worker = Worker(lambda: judge, judge.model)
        self._waiting: deque[Task] = deque()

    def free(self) -> bool:
        """Return whether the worker waits for a task."""
        return not self._waiting

    def submit(self, task: Task) -> None:
        """Give a task to the worker."""
        self._waiting.append(task)

    def wait(self, seconds: float) -> list[Outcome]:
        """Return what became of it."""
        task = self._waiting.popleft()
        return [Outcome(task, self._worker.judge(task.path, task.span, task.contents()))]

    def close(self) -> None:
        """Let the worker go."""
