"""The judging stage of a scan: Ray processes that judge what the workers extract."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pipelines.scan_plan import Plan

if TYPE_CHECKING:
    from extractors.streams import Streams
    from pipelines.detect import Session
    from pipelines.timelines import Timeline

JUDGE_RESTARTS = 100  # of a process that judges for others
BLOCKS_AHEAD = 2  # blocks of a worker that are on their way to be judged: bounds memory


def start_judges(load: Callable[[], Session], model: dict[str, str], plan: Plan) -> list[Any]:
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


def judged_elsewhere(load: Callable[[], Any], judge: Any) -> Any:
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
