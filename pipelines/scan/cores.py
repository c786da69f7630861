"""Pinning of a worker to cores of its own.

Scheduling by the number of cores per process relies on each process using no more. A worker of a
scan would: its decoder is a process of its own, and it cuts crops in one thread while it detects
faces in another.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pipelines.storage.local_copy import hold

Made = TypeVar("Made")
LOCKS = "avdetect-cores"  # a folder with a file per core, locked by the process that has the core


def alone(cores: int, load: Callable[[], Made]) -> Made:
    """Return what `load` makes, after pinning this process to `cores` cores of its own."""
    keep_to_cores(cores)
    import torch

    torch.set_num_threads(cores)
    return load()


def keep_to_cores(count: int, locks: Path | None = None) -> set[int]:
    """Pin this process and its later children to cores, and return these.

    They are disjoint from the cores that other processes have taken by this function; the system
    releases the locks of processes that end. If too few are left, or the system cannot pin a
    process (macOS), it keeps the cores that it had.

    locks: the folder of the locks; None: one that all processes on this machine share.
    """
    allowed = allowed_cores()
    if not hasattr(os, "sched_setaffinity"):
        return allowed
    taken = _take(sorted(allowed), count, locks or Path(tempfile.gettempdir()) / LOCKS)
    if not taken:
        return allowed
    for thread in Path("/proc/self/task").iterdir():  # 0 would be this thread alone
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(int(thread.name), taken)
    return taken


def allowed_cores() -> set[int]:
    """Return the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _take(cores: list[int], count: int, locks: Path) -> set[int]:
    """Return `count` of the cores, locked until this process ends; or none of them."""
    held: dict[int, int] = {}
    for core in cores:
        with suppress(OSError):  # the folder or file is another user's: as good as taken
            locks.mkdir(exist_ok=True)
            lock = hold(locks / str(core))
            if lock is not None:
                held[core] = lock
        if len(held) == count:
            return set(held)
    for lock in held.values():
        os.close(lock)
    return set()
