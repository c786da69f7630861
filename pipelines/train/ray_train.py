"""A training in several processes at once, by Ray Train."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.scan.cluster import PoolError, cause_of_loss, cluster
from pipelines.scan.plan import PlanError

if TYPE_CHECKING:
    from pipelines.train.team import Workers

TRAIN_RESTARTS = 2  # of a training that lost a worker


def train_together(
    body: Callable[[Workers], None], workers: int, gpu: bool, folder: Path, address: str | None
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

        from pipelines.train.team import Workers

        os.chdir(here)  # paths in configurations begin there; Ray begins in a folder of its own
        if gpu:
            torch.cuda.set_device(get_device())
        context = ray.train.get_context()
        body(Workers(context.get_world_rank(), context.get_world_size()))

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
            raise PoolError(f"the training failed: {cause_of_loss(error)}") from error
