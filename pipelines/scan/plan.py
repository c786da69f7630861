"""The plan of a scan: how many workers and judges a cluster's resources are divided into."""

from __future__ import annotations

import os
from dataclasses import dataclass

from extractors.errors import AvdetectError
from pipelines.scan.cores import allowed_cores

WORKER_BYTES = 3 * 2**29  # 1.5 GiB: a worker's model, its decoder and the frames between them
CORES_A_WORKER = 2  # more do not help: a worker decodes and cuts crops while it detects faces
WORKERS_A_GPU = 4.0  # workers that share a GPU, each extracting on a core of its own


@dataclass(frozen=True)
class Resources:
    """The resources of a cluster."""

    cores: tuple[float, ...]  # of each node
    gpus: float
    memory: int  # bytes

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return len(self.cores)

    @property
    def cpus(self) -> float:
        """How many cores the nodes have together."""
        return sum(self.cores)

    def room(self, cores: int) -> int:
        """Return how many processes fit that each need `cores` cores of one node."""
        return sum(int(node // cores) for node in self.cores)


def own_resources(device: str) -> Resources:
    """Return what this process may use of its machine: GPUs only for the device `cuda`."""
    gpus = 0.0
    if device == "cuda":
        import torch

        gpus = float(torch.cuda.device_count())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Resources((float(len(allowed_cores())),), gpus, memory)


@dataclass(frozen=True)
class Plan:
    """How many workers there are, what each of them reserves, and why."""

    workers: int
    cpus: int  # cores a worker
    gpus: float  # share of a GPU a worker
    reason: str
    judges: int = 0  # processes that judge what the workers extract; 0: each does both
    judge_gpus: float = 0.0  # a judge

    def __str__(self) -> str:
        """Return the plan in one sentence."""
        share = f" and {self.gpus:g} of a GPU" if self.gpus else ""
        who = "1 worker" if self.workers == 1 else f"{self.workers} workers, each"
        cores = f"{self.cpus} {'core' if self.cpus == 1 else 'cores'}"
        plan = f"{who} on {cores}{share}"
        if self.judges:
            verb = "judge" if self.judges > 1 else "judges"
            place = "a GPU each" if self.judge_gpus else "a core each"
            plan += f", that extract, and {self.judges} that {verb} for them on {place}"
        return f"{plan}: {self.reason}"


class PlanError(AvdetectError, ValueError):
    """The cluster lacks the requested resources; the message names the numbers."""


def plan_scan(
    resources: Resources,
    device: str,
    workers: int | None = None,
    judges: int | None = None,
    cores: int | None = None,
) -> Plan:
    """Return the plan for a cluster.

    With more cores per GPU than workers that can share one, extraction and judging are separate
    stages; otherwise each worker does both, which saves sending streams between processes. Many
    workers with one core each are faster than few with several; spare cores are given to them.

    Args:
        resources: of the cluster.
        device: `cpu` or `cuda`.
        workers: their number; None: as many as the scarcest resource allows.
        judges: number of processes that judge for the workers; 0: none; None: whatever is faster.
        cores: of each worker; None: one, or `CORES_A_WORKER` where there are enough.

    Raises:
        PlanError: there is no GPU for `cuda`, or there are too few cores or GPUs.
    """
    gpus = resources.gpus if device == "cuda" else 0.0
    if device == "cuda" and not gpus:
        raise PlanError(f"--device cuda: no GPU on the cluster's {resources.nodes} nodes")
    if judges is None:
        judges = int(gpus) if resources.cpus > (WORKERS_A_GPU + 1) * gpus else 0
    if gpus and judges > gpus:
        raise PlanError(f"--judges {judges}: the cluster has {gpus:g} GPUs")
    room = resources.room(cores or 1) - judges
    limits = {"cores": room, "memory": resources.memory // WORKER_BYTES - judges}
    if gpus and not judges:
        limits["GPUs"] = int(WORKERS_A_GPU * gpus)
    scarce = min(limits, key=lambda name: limits[name])
    reason = f"as many as the {scarce} carry" if workers is None else "as asked for"
    workers = max(limits[scarce], 1) if workers is None else workers
    if workers > room:
        asked = [f"--workers {workers}"]
        asked += [f"--judges {judges}"] if judges else []
        asked += [f"--cores {cores}"] if cores else []
        raise PlanError(f"{' and '.join(asked)}: {_cores_of(resources)}")
    if cores is None:
        spare = resources.room(CORES_A_WORKER) >= workers + judges
        cores = CORES_A_WORKER if spare else 1
    if judges:
        return Plan(workers, cores, 0.0, reason, judges, 1.0 if gpus else 0.0)
    return Plan(workers, cores, 1 / WORKERS_A_GPU if gpus else 0.0, reason)


def _cores_of(resources: Resources) -> str:
    if resources.nodes == 1:
        return f"the cluster has {resources.cpus:g} cores"
    most = f"{max(resources.cores):g} on one of its {resources.nodes} nodes"
    return f"the cluster has {resources.cpus:g} cores, at most {most}"
