"""The worker of a scan: it runs a job on one file at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from extractors.media import MediaError
from pipelines.detection.shards import LongVideoError
from pipelines.progress import OnStep
from pipelines.scan.agenda import Outcome
from pipelines.scan.tasks import Task
from pipelines.storage.local_copy import ScratchError, local_copy, scratch_folder


class Job(Protocol):
    """The work on each file: `DetectorJob` of a scan, or another."""

    @property
    def model(self) -> Mapping[str, object]:
        """The identity of the model, such as name, version and digest of weights."""

    def run(self, path: Path, on_step: OnStep) -> dict[str, Any]:
        """Return the result of one file as plain values, with its `status`.

        Raises:
            MediaError: the file cannot be used; others can.
        """


@runtime_checkable
class ShardJob(Job, Protocol):
    """A job whose `run` may raise `LongVideoError`: the file is then judged in shards."""

    def run_shard(self, path: Path, span: range, on_step: OnStep) -> bytes:
        """Return the piece of one shard of a file, or raise MediaError."""

    def join(self, path: str, pieces: Sequence[bytes]) -> dict[str, Any]:
        """Return the result of a file from all of its pieces."""


class Worker:
    """A worker that runs its job on one file at a time and reports its progress."""

    def __init__(self, load_job: Callable[[], Job], expected: Mapping[str, object]) -> None:
        """Load the job.

        Raises:
            ValueError: other weights are on this machine than the results belong to.
        """
        self._job = load_job()
        if self._job.model != expected:
            raise ValueError(f"expected the model {expected}, got {self._job.model}")
        self._scratch = scratch_folder()
        self._signs = 0

    def ready(self) -> None:
        """Return when the job is loaded."""

    def signs(self) -> int:
        """Return a number that rises while there is progress on the file."""
        return self._signs

    def run(
        self, path: str, span: range | None = None, pieces: Sequence[bytes] = ()
    ) -> dict[str, Any]:
        """Return the result of a file or object as plain values, also if it is unreadable.

        `status` is `ok` or `error` for a file, or for all `pieces` of a long one; `long` with the
        `spans` of the shards for a long video; `piece` with the `piece` for a shard; or `stopped`
        with a `message` if there is no room for copies on this machine.
        """
        begin, self._signs = time.perf_counter(), 0
        try:
            if pieces:
                result = self._sharded().join(path, pieces)
            else:
                result = self._done(path, span)
        except MediaError as error:
            result = {"status": "error", "error": {"type": "MediaError", "message": str(error)}}
        except LongVideoError as error:
            result = {"status": "long", "spans": error.spans}
        except ScratchError as error:
            result = {"status": "stopped", "message": str(error)}
        return result | {"path": path, "seconds": round(time.perf_counter() - begin, 3)}

    def _done(self, path: str, span: range | None) -> dict[str, Any]:
        with local_copy(path, self._scratch, self._sign) as file:
            try:
                if span is None:
                    return self._job.run(file, self._sign)
                piece = self._sharded().run_shard(file, span, self._sign)
                return {"status": "piece", "piece": piece}
            except MediaError as error:
                raise MediaError(str(error).replace(str(file), path)) from error

    def _sharded(self) -> ShardJob:
        if not isinstance(self._job, ShardJob):
            raise TypeError(f"{type(self._job).__name__} does no shards")
        return self._job

    def _sign(self, *_: int) -> None:
        self._signs += 1


class LoopPool:
    """A pool of one worker in this process, without Ray.

    A crash ends this process, a hang is not noticed; a job that raises is reported as lost.
    """

    def __init__(self, job: Job) -> None:
        self._worker = Worker(lambda: job, job.model)
        self._waiting: deque[Task] = deque()

    def free(self) -> bool:
        """Return whether the worker waits for a task."""
        return not self._waiting

    def submit(self, task: Task) -> None:
        """Give a task to the worker."""
        self._waiting.append(task)

    def wait(self, seconds: float) -> list[Outcome]:
        """Run the task and return its outcome."""
        task = self._waiting.popleft()
        try:
            return [Outcome(task, self._worker.run(task.path, task.span, task.contents()))]
        except Exception as error:  # noqa: BLE001  must not stop those behind it
            return [Outcome(task, None, f"stopped its worker ({type(error).__name__}: {error})")]

    def close(self) -> None:
        """Do nothing: there is no process to end."""
