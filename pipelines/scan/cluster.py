"""Connection to a Ray cluster, its resources, and the causes of lost workers."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from extractors.errors import AvdetectError
from pipelines.scan.cores import allowed_cores
from pipelines.scan.plan import Resources

OBJECT_STORE = 200 * 2**20  # bytes, on a cluster of our own where only rows go through it
# Ray gives the processes of a cluster that it starts 30 s, which a busy machine may exceed.
INIT_SECONDS = 300.0  # in which a start that was too slow is repeated
INIT_TRIES = 3  # when it failed faster than that
SLOW = 20.0  # seconds from which on a try was slow


class PoolError(AvdetectError):
    """No workers are available. The message is one sentence."""


def connect(address: str | None, store: int | None = OBJECT_STORE) -> bool:
    """Join or start a cluster and return True; False: this process is in one already.

    Args:
        address: of a cluster to join, `auto` for the one of this machine; None starts one here.
        store: bytes of the object store of a cluster that is started; None: Ray's default.

    Raises:
        PoolError: there is no such cluster, or none can be started within `INIT_SECONDS`.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # 15, Ray's, starves on a busy machine
    import ray

    if ray.is_initialized():
        return False
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    own: dict[str, Any] = {
        "num_cpus": len(allowed_cores()),
        "object_store_memory": store,
        "include_dashboard": False,
    }
    begin = time.monotonic()
    for tries in count(1):
        try:
            ray.init(address=address or "local", **quiet, **({} if address else own))
            break
        except Exception as error:  # Ray raises a bare Exception where a node starts too slowly
            ray.shutdown()
            if address or not _again(tries, time.monotonic() - begin):
                where = address or "a cluster here"
                raise PoolError(f"{where}: Ray cannot start ({error})") from error
    return True


def _again(tries: int, seconds: float) -> bool:
    """Return whether to start a cluster once more after `tries` that took `seconds` together."""
    return seconds < INIT_SECONDS if seconds / tries > SLOW else tries < INIT_TRIES


def resources() -> Resources:
    """Return the resources of the cluster's nodes that are alive."""
    import ray

    listed: list[dict[str, Any]] = ray.nodes()
    nodes = [node["Resources"] for node in listed if node["Alive"]]
    return Resources(
        cores=tuple(node.get("CPU", 0.0) for node in nodes),
        gpus=sum(node.get("GPU", 0.0) for node in nodes),
        memory=int(sum(node.get("memory", 0.0) for node in nodes)),
    )


def disconnect() -> None:
    """Leave the cluster; one that was started here ends."""
    import ray

    ray.shutdown()


@contextmanager
def cluster(address: str | None, store: int | None = OBJECT_STORE) -> Iterator[Resources]:
    """Yield the resources of a cluster, joined or started for the context's duration."""
    joined = connect(address, store)
    try:
        yield resources()
    finally:
        if joined:
            disconnect()


def cause_of_loss(error: Exception) -> str:
    """Return the cause in a Ray error: how the process ended, or else the message's last line."""
    text = str(error).strip()
    detail = re.search(r"Worker exit detail: ([^.\n]+)", text)
    if detail and "creation task" not in text:
        return detail[1]
    return text.splitlines()[-1].strip() if text else type(error).__name__
