"""The judging stage of a scan: Ray processes that judge the blocks that workers extract.

With a GPU, few processes judge for many that extract: each batches all blocks that are waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from threading import Lock
from typing import TYPE_CHECKING, Any

from extractors.streams import Streams
from pipelines.detection.timelines import Timeline, judge_blocks
from pipelines.scan.detector_job import DetectorJob
from pipelines.scan.plan import Plan
from pipelines.scan.worker import Job

if TYPE_CHECKING:
    from pipelines.detection.session import DetectorSession

BATCH = 8  # windows that the networks take at once


class BlockJudge:
    """A judge of blocks, in batches; may be called from several threads at a time."""

    def __init__(self, load: Callable[[], DetectorSession], expected: Mapping[str, object]) -> None:
        """Load the model.

        Raises:
            ValueError: other weights are on this machine than the results belong to.
        """
        self._session = load()
        if self._session.model != expected:
            raise ValueError(f"expected the model {expected}, got {self._session.model}")
        self._waiting: list[tuple[Streams, Future[Timeline]]] = []
        self._entry, self._turn = Lock(), Lock()

    def ready(self) -> None:
        """Return when the model is loaded."""

    def judge(self, block: Streams) -> Timeline:
        """Return the timeline of a block; one thread at a time judges all blocks that wait."""
        future: Future[Timeline] = Future()
        with self._entry:
            self._waiting.append((block, future))
        with self._turn:
            if not future.done():
                self._judge_waiting()
        return future.result()

    def _judge_waiting(self) -> None:
        with self._entry:
            taken, self._waiting = self._waiting, []
        session = self._session
        try:
            timelines = judge_blocks(
                [block for block, _ in taken],
                session.detector,
                session.config.windows,
                session.precision,
                BATCH,
            )
        except Exception as error:  # noqa: BLE001  raised in all threads that wait for these blocks
            for _, future in taken:
                future.set_exception(error)
            return
        for (_, future), timeline in zip(taken, timelines, strict=True):
            future.set_result(timeline)


JUDGE_RESTARTS = 100  # of a process that judges for others
BLOCKS_AHEAD = 2  # blocks of a worker that wait to be judged, at most: bounds memory


def start_judges(
    load: Callable[[], DetectorSession], model: Mapping[str, object], plan: Plan
) -> list[Any]:
    """Return the processes that judge for a plan's workers; one that crashes is restarted."""
    import ray

    options: dict[str, Any] = {
        "num_cpus": 1.0,
        "num_gpus": plan.judge_gpus,
        "max_restarts": JUDGE_RESTARTS,
        "max_task_retries": 0,  # the block's video is retried once as a whole
        "max_concurrency": plan.workers + 1,
    }
    actor = ray.remote(**options)(BlockJudge)
    return [actor.remote(load, model) for _ in range(plan.judges)]


def judged_elsewhere(load: Callable[[], Job], judge: Any) -> Job:
    """Return a job in this worker's process whose blocks another process judges."""
    import ray

    ray.get(judge.ready.remote())
    job = load()
    if not isinstance(job, DetectorJob):
        raise TypeError(f"{type(job).__name__} has no blocks that another process could judge")

    def judge_blocks(blocks: Iterable[Streams]) -> list[Timeline]:
        refs: list[Any] = []
        for block in blocks:
            if len(refs) >= BLOCKS_AHEAD:
                ray.wait([refs[-BLOCKS_AHEAD]])
            refs.append(judge.judge.remote(block))
        return list(ray.get(refs))

    job.stage = judge_blocks
    return job
