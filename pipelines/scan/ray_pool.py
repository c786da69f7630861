"""Ray workers for a scan: they run tasks and are replaced where they crash or hang.

Why plain actors scheduled by the driver, and not Ray Data: its actor pools restart a crashed worker
and repeat its task without limit, so one video that crashes its decoder stops a corpus; a failed
block loses good rows as well; its checkpoints silently do nothing for sources that it did not read
itself; and a pool that fills every core starves the reads. Here a worker has one video at a time,
so the video that a crash or hang is due to is known, and finished results are already on disk.
Rows are paths and numbers: no frame goes through the object store.

Only this module and its neighbours `cluster` and `ray_judges` import Ray.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pipelines.scan.agenda import Outcome
from pipelines.scan.cluster import PoolError, cause_of_loss
from pipelines.scan.plan import Plan
from pipelines.scan.ray_judges import judged_elsewhere, start_judges
from pipelines.scan.tasks import Task
from pipelines.scan.worker import Job, Worker

if TYPE_CHECKING:
    from pipelines.detection.session import DetectorSession

START_SECONDS = 600.0  # within which at least one worker must have started
FAILED_STARTS = 3  # in a row, plus two per worker, after which the scan ends
ANSWER_SECONDS = 30.0  # within which a worker reports its progress, unless it hangs


@dataclass
class _Busy:
    """A busy worker and its task, None while it loads its model."""

    worker: Any
    task: Task | None
    since: float
    signs: int = 0


class RayPool:
    """Workers on a Ray cluster, replaced where they crash or hang."""

    def __init__(
        self,
        load_job: Callable[[], Job],
        model: Mapping[str, object],
        plan: Plan,
        limit: float = 300.0,
        load_session: Callable[[], DetectorSession] | None = None,
    ) -> None:
        """Request the plan's workers; they start while others already work.

        Args:
            load_job: makes the job, in the worker's process.
            model: the expected model of the job.
            plan: the number of workers, and the resources of each.
            limit: seconds without progress on a video after which a worker is killed.
            load_session: makes the session of the judging stage, in a plan that has one; the jobs
                are then `DetectorJob`, whose blocks go to that stage.
        """
        import ray

        self._judges = [] if load_session is None else start_judges(load_session, model, plan)
        self._load_job = load_job
        options: dict[str, Any] = {
            "num_cpus": plan.cpus,
            "num_gpus": plan.gpus,
            "max_restarts": 0,  # Ray's own restarts would repeat a crashing task without limit
            "max_task_retries": 0,
            "concurrency_groups": {"watch": 1},  # answers while the other thread works
        }
        self._actor = ray.remote(**options)(Worker)
        self._model = model
        self._limit = limit
        self._busy: dict[Any, _Busy] = {}
        self._idle: list[Any] = []
        self._failed_starts = 0
        self._most_failed_starts = FAILED_STARTS + 2 * plan.workers  # a node loses many at once
        for _ in range(plan.workers):
            self._start()

    @property
    def idle(self) -> int:
        """How many workers wait for a task."""
        return len(self._idle)

    def free(self) -> bool:
        """Return whether a worker waits for a task."""
        return self.idle > 0

    def submit(self, task: Task) -> None:
        """Give a task to a worker that is free."""
        worker = self._idle.pop()
        ref = worker.run.remote(task.path, task.span, task.contents())
        self._busy[ref] = _Busy(worker, task, time.monotonic())

    def wait(self, seconds: float) -> list[Outcome]:
        """Return the outcomes of finished tasks, after at most `seconds`.

        Raises:
            PoolError: no worker starts.
        """
        import ray

        refs = list(self._busy)
        ray.wait(refs, timeout=seconds)
        ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        outcomes = [self._finished(ref) for ref in ready]
        outcomes += [self._given_up(ref) for ref in self._overdue() if self._hangs(ref)]
        return [outcome for outcome in outcomes if outcome is not None]

    def close(self) -> None:
        """Kill the workers and judges."""
        import ray

        for worker in [*self._idle, *(busy.worker for busy in self._busy.values())]:
            ray.kill(worker)
        for judge in self._judges:
            ray.kill(judge)
        self._idle, self._busy, self._judges = [], {}, []

    def _start(self) -> None:
        load: Callable[[], Job] = self._load_job
        if self._judges:
            self._judges.append(self._judges.pop(0))  # they take turns in getting workers
            load = partial(judged_elsewhere, self._load_job, self._judges[0])
        worker = self._actor.remote(load, self._model)
        self._busy[worker.ready.remote()] = _Busy(worker, None, time.monotonic())

    def _finished(self, ref: Any) -> Outcome | None:
        """Return a task's outcome; None: a worker started, or failed to."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        busy = self._busy.pop(ref)
        try:
            result = ray.get(ref)
        except RayTaskError as error:  # no MediaError, which is a result: the worker may be broken
            ray.kill(busy.worker)
            return self._replaced(busy, f"stopped its worker ({cause_of_loss(error)})")
        except RayError as error:
            return self._replaced(busy, f"ended its worker ({cause_of_loss(error)})")
        self._failed_starts = 0
        self._idle.append(busy.worker)
        return None if busy.task is None else Outcome(busy.task, result)

    def _overdue(self) -> list[Any]:
        now = time.monotonic()
        return [
            ref
            for ref, busy in self._busy.items()
            if now - busy.since > (START_SECONDS if busy.task is None else self._limit)
        ]

    def _hangs(self, ref: Any) -> bool:
        """Return whether a worker has made no progress since the last check."""
        import ray
        from ray.exceptions import RayError

        busy = self._busy[ref]
        busy.since = time.monotonic()
        if busy.task is None:  # it waits for a free core; others may hold them
            if len(self._idle) + sum(b.task is not None for b in self._busy.values()):
                return False
            raise PoolError(f"no worker came up within {START_SECONDS:.0f} s: are cores free?")
        try:
            answer = busy.worker.signs.options(concurrency_group="watch").remote()
            signs = ray.get(answer, timeout=ANSWER_SECONDS)
        except RayError:  # a worker that is gone, or holds on to its interpreter
            return True
        hangs, busy.signs = signs == busy.signs, signs
        return bool(hangs)

    def _given_up(self, ref: Any) -> Outcome | None:
        import ray

        busy = self._busy.pop(ref)
        ray.kill(busy.worker)
        return self._replaced(busy, f"made no progress for {self._limit:g} s")

    def _replaced(self, busy: _Busy, cause: str) -> Outcome | None:
        """Start another worker in place of a lost one, and return the outcome of its task."""
        if busy.task is None:
            self._failed_starts += 1
            if self._failed_starts >= self._most_failed_starts:
                raise PoolError(f"no worker comes up: {cause}")
        self._start()
        return None if busy.task is None else Outcome(busy.task, None, cause)
