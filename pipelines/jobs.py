"""Ray workers for a scan: the only place that knows Ray.

Why plain actors with a window of work in the driver's hands, and not Ray Data: its actor pools
restart a crashed worker and repeat its task without limit, so one video that crashes its decoder
stops a corpus; a failed block takes good rows with it; its checkpoints do nothing for sources that
it did not read itself, without a word; and a pool that fills every core starves the reads. Here a
worker has one video at a time, so whoever dies or hangs is known by name, and what was finished is
already on disk. Rows are paths and numbers: no frame goes through the object store.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.agenda import Outcome
from pipelines.pieces import Task
from pipelines.scan_plan import Plan, PlanError, Resources
from pipelines.scan_worker import Judge, Worker

if TYPE_CHECKING:
    from extractors.streams import Streams
    from pipelines.detect import Session
    from pipelines.team import Team
    from pipelines.timelines import Timeline

OBJECT_STORE = 200 * 2**20  # bytes, on a cluster of our own where only rows go through it
INIT_TRIES = 3  # to begin a cluster: Ray gives its processes 30 s, which a busy machine may exceed
START_SECONDS = 600.0  # in which some worker must have come up
FAILED_STARTS = 3  # in a row, and two more a worker, after which it is no accident
TRAIN_RESTARTS = 2  # of a training that lost a worker
JUDGE_RESTARTS = 100  # of a process that judges for others
BLOCKS_AHEAD = 2  # blocks of a worker that are on their way to be judged: bounds memory
ANSWER_SECONDS = 30.0  # in which a worker says how far it is, unless it hangs


class PoolError(Exception):
    """There are no workers to be had. The message is one sentence."""


@dataclass
class _Busy:
    """What a worker is doing: a task, or None while it loads its model."""

    worker: Any
    task: Task | None
    since: float
    signs: int = 0


def connect(address: str | None, store: int | None = OBJECT_STORE) -> bool:
    """Return whether a cluster was joined or begun now; False: this process was in one already.

    Args:
        address: of a cluster to join, `auto` for the one of this machine; None begins one here.
        store: bytes for what goes from process to process in that; None: what Ray finds right.

    Raises:
        PoolError: there is no such cluster, or none can be begun.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # reports to nobody
    import ray

    if ray.is_initialized():
        return False
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    own: dict[str, Any] = {
        "num_cpus": len(os.sched_getaffinity(0)),
        "object_store_memory": store,
        "include_dashboard": False,
    }
    tries = 1 if address else INIT_TRIES
    for left in reversed(range(tries)):
        try:
            ray.init(address=address or "local", **quiet, **({} if address else own))
            break
        except Exception as error:  # Ray raises just that where a node starts too slowly
            ray.shutdown()
            if not left:
                where = address or "a cluster here"
                raise PoolError(f"{where}: Ray cannot start ({error})") from error
    return True


def resources() -> Resources:
    """Return what the nodes of the cluster have."""
    import ray

    known: list[dict[str, Any]] = ray.nodes()
    nodes = [node["Resources"] for node in known if node["Alive"]]
    return Resources(
        nodes=len(nodes),
        cpus=sum(node.get("CPU", 0.0) for node in nodes),
        gpus=sum(node.get("GPU", 0.0) for node in nodes),
        memory=int(sum(node.get("memory", 0.0) for node in nodes)),
    )


def disconnect() -> None:
    """Leave the cluster; one that was begun here ends."""
    import ray

    ray.shutdown()


@contextmanager
def cluster(address: str | None, store: int | None = OBJECT_STORE) -> Iterator[Resources]:
    """Yield what a cluster has, joined or begun for as long as it is needed: see `connect`."""
    joined = connect(address, store)
    try:
        yield resources()
    finally:
        if joined:
            disconnect()


def train_together(
    body: Callable[[Team], None], workers: int, gpu: bool, folder: Path, address: str | None
) -> None:
    """Run a training in so many processes at once; one that is lost has all begin again.

    Args:
        body: what each of them does, going on from what it finds done.
        workers: how many there are, each on a core and, if asked for, a GPU.
        gpu: whether they compute on GPUs.
        folder: where Ray keeps its notes; on a cluster, one that all nodes see.
        address: of the cluster, see `connect`.

    Raises:
        PlanError: the cluster has not so many cores or GPUs.
        PoolError: there is no cluster, or the training fails again and again.
    """
    here = os.getcwd()  # noqa: PTH109  as os.chdir wants it

    def loop() -> None:
        import ray.train
        import torch
        from ray.train.torch import get_device

        from pipelines.team import Team

        os.chdir(here)  # paths in configurations begin there; Ray begins in a folder of its own
        if gpu:
            torch.cuda.set_device(get_device())
        context = ray.train.get_context()
        body(Team(context.get_world_rank(), context.get_world_size()))

    with cluster(address) as found:
        have = found.gpus if gpu else found.cpus
        if workers > have:
            raise PlanError(
                f"--workers {workers}: the cluster has {have:g} {'GPUs' if gpu else 'cores'}"
            )
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        trainer = TorchTrainer(
            loop,
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu),
            run_config=RunConfig(
                storage_path=str(folder.absolute()),
                failure_config=FailureConfig(max_failures=TRAIN_RESTARTS),
            ),
        )
        try:
            trainer.fit()
        except Exception as error:
            raise PoolError(f"the training failed: {_cause(error)}") from error


class RayPool:
    """Workers on a Ray cluster, replaced where they die or hang."""

    def __init__(
        self,
        load_judge: Callable[[], Judge],
        model: dict[str, str],
        plan: Plan,
        limit: float = 300.0,
        load_session: Callable[[], Session] | None = None,
    ) -> None:
        """Ask for the plan's workers; they come up while others already work.

        Args:
            load_judge: makes what judges, in the worker's process.
            model: which weights it must come with.
            plan: how many workers, and what each gets.
            limit: seconds without progress on a video after which a worker is given up.
            load_session: makes what judges for the workers, in a plan that has such a stage;
                load_judge then makes sessions too, of which others judge the blocks.
        """
        import ray

        self._judges = [] if load_session is None else _judges(load_session, model, plan)
        self._load_judge = load_judge
        options: dict[str, Any] = {
            "num_cpus": plan.cpus,
            "num_gpus": plan.gpus,
            "max_restarts": 0,  # Ray's own restarts repeat a deadly task without limit
            "max_task_retries": 0,
            "concurrency_groups": {"watch": 1},  # answers while the other thread judges
        }
        self._actor = ray.remote(**options)(Worker)
        self._model = model
        self._limit = limit
        self._busy: dict[Any, _Busy] = {}
        self._idle: list[Any] = []
        self._failed_starts = 0
        self._most_failed_starts = FAILED_STARTS + 2 * plan.workers  # a node takes many along
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
        ref = worker.judge.remote(task.path, task.span, task.contents())
        self._busy[ref] = _Busy(worker, task, time.monotonic())

    def wait(self, seconds: float) -> list[Outcome]:
        """Return what is finished, after that time at the latest.

        Raises:
            PoolError: no worker comes up.
        """
        import ray

        refs = list(self._busy)
        ray.wait(refs, timeout=seconds)
        ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        outcomes = [self._finished(ref) for ref in ready]
        outcomes += [self._given_up(ref) for ref in self._overdue() if self._hangs(ref)]
        return [outcome for outcome in outcomes if outcome is not None]

    def close(self) -> None:
        """Let the workers go."""
        import ray

        for worker in [*self._idle, *(busy.worker for busy in self._busy.values())]:
            ray.kill(worker)
        for judge in self._judges:
            ray.kill(judge)
        self._idle, self._busy, self._judges = [], {}, []

    def _start(self) -> None:
        load: Callable[[], Judge] = self._load_judge
        if self._judges:
            self._judges.append(self._judges.pop(0))  # they take turns in getting workers
            load = partial(_judged_elsewhere, self._load_judge, self._judges[0])
        worker = self._actor.remote(load, self._model)
        self._busy[worker.ready.remote()] = _Busy(worker, None, time.monotonic())

    def _finished(self, ref: Any) -> Outcome | None:
        """Return a task's outcome; None: a worker came up, or failed to."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        busy = self._busy.pop(ref)
        try:
            result = ray.get(ref)
        except RayTaskError as error:  # not a MediaError: the worker's state is unknown now
            ray.kill(busy.worker)
            return self._replaced(busy, f"stopped its worker ({_cause(error)})")
        except RayError as error:
            return self._replaced(busy, f"ended its worker ({_cause(error)})")
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
        """Return whether a worker has come no further since it was looked at last."""
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
        """Start another worker in the place of a lost one; return the outcome of its video."""
        if busy.task is None:
            self._failed_starts += 1
            if self._failed_starts >= self._most_failed_starts:
                raise PoolError(f"no worker comes up: {cause}")
        self._start()
        return None if busy.task is None else Outcome(busy.task, None, cause)


def _judges(load: Callable[[], Session], model: dict[str, str], plan: Plan) -> list[Any]:
    """Return the processes that judge for a plan's workers; one that dies comes back."""
    import ray

    from pipelines.block_judge import BlockJudge

    options: dict[str, Any] = {
        "num_cpus": 1.0,
        "num_gpus": plan.judge_gpus,
        "max_restarts": JUDGE_RESTARTS,
        "max_task_retries": 0,  # the video whose block it was is tried once more as a whole
        "max_concurrency": plan.workers + 1,
    }
    actor = ray.remote(**options)(BlockJudge)
    return [actor.remote(load, model) for _ in range(plan.judges)]


def _judged_elsewhere(load: Callable[[], Any], judge: Any) -> Any:
    """Return a session in this worker's process whose blocks a judge's process judges."""
    import ray

    ray.get(judge.ready.remote())
    session = load()

    def judge_blocks(blocks: Iterable[Streams]) -> list[Timeline]:
        refs: list[Any] = []
        for block in blocks:
            if len(refs) >= BLOCKS_AHEAD:
                ray.wait([refs[-BLOCKS_AHEAD]])
            refs.append(judge.judge.remote(block))
        return list(ray.get(refs))

    session.judge_blocks = judge_blocks
    return session


def _cause(error: Exception) -> str:
    """Return what Ray says of the cause: how a process ended, or else the last line."""
    text = str(error).strip()
    detail = re.search(r"Worker exit detail: ([^.\n]+)", text)
    if detail and "creation task" not in text:
        return detail[1]
    return text.splitlines()[-1].strip() if text else type(error).__name__
