"""Data-parallel training in several processes, on Ray Train."""

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
    """Train in `workers` processes; if one is lost, all restart from the last checkpoint.

    Args:
        body: the training of one worker, which resumes from finished stages and checkpoints.
        workers: number of processes, each on a core and, with `gpu`, a GPU.
        gpu: whether they compute on GPUs.
        folder: Ray's storage path; on a cluster, one that all nodes see.
        address: of the cluster, see `connect`.

    Raises:
        PlanError: the cluster has fewer cores or GPUs.
        PoolError: there is no cluster, or the training still fails after its restarts.
    """
    here = os.getcwd()  # noqa: PTH109  as os.chdir wants it

    def loop() -> None:
        import ray.train
        import torch
        from ray.train.torch import get_device

        from pipelines.train.team import Workers

        os.chdir(here)  # configured paths are relative to it; Ray starts workers elsewhere
        if gpu:
            torch.cuda.set_device(get_device())
        context = ray.train.get_context()
        body(Workers(context.get_world_rank(), context.get_world_size()))

    with cluster(address) as resources:
        have = resources.gpus if gpu else resources.cpus
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
