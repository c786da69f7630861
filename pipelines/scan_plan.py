"""What a cluster has in, how a scan uses it out."""

from __future__ import annotations

from dataclasses import dataclass

WORKER_BYTES = 3 * 2**29  # 1.5 GiB: a worker's model, its decoder and the frames between them
WORKERS_A_GPU = 4.0  # as long as each extracts on a core of its own, a GPU serves several


@dataclass(frozen=True)
class Resources:
    """What the nodes of a cluster have together."""

    nodes: int
    cpus: float
    gpus: float
    memory: int  # bytes


@dataclass(frozen=True)
class Plan:
    """How many workers there are, what each of them reserves, and why."""

    workers: int
    cpus: float  # cores a worker
    gpus: float  # share of a GPU a worker
    reason: str

    def __str__(self) -> str:
        """Return the plan in one sentence."""
        share = f" and {self.gpus:g} of a GPU" if self.gpus else ""
        noun = "worker" if self.workers == 1 else "workers"
        return f"{self.workers} {noun}, each on {self.cpus:g} core{share}: {self.reason}"


class PlanError(ValueError):
    """The cluster cannot do what is asked of it; the message names the numbers."""


def plan_scan(resources: Resources, device: str, workers: int | None = None) -> Plan:
    """Return the plan for a cluster; each worker extracts and judges in one process.

    Args:
        resources: what the cluster has.
        device: `cpu` or `cuda`.
        workers: how many are wanted; None: as many as the scarcest resource carries.

    Raises:
        PlanError: there is no GPU for `cuda`, or too few cores for the workers.
    """
    gpu = 0.0
    limits = {"cores": int(resources.cpus), "memory": resources.memory // WORKER_BYTES}
    if device == "cuda":
        if not resources.gpus:
            raise PlanError(f"--device cuda: no GPU on the cluster's {resources.nodes} nodes")
        limits["GPUs"] = int(WORKERS_A_GPU * resources.gpus)
        gpu = 1 / WORKERS_A_GPU
    scarce = min(limits, key=lambda name: limits[name])
    most = max(limits[scarce], 1)
    if workers is None:
        return Plan(most, 1.0, gpu, f"as many as the {scarce} carry")
    if workers > limits["cores"]:
        raise PlanError(f"--workers {workers}: the cluster has {resources.cpus:g} cores")
    return Plan(workers, 1.0, gpu, "as asked for")
