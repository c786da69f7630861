"""A number of cores in; this process kept to as many, which no other worker of the machine has.

Whoever packs a node by the cores that each process was granted relies on each taking no more. A
worker of a scan would: its decoder is a process beside it, and it cuts crops in one thread while
it looks for faces in another.
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
LOCKS = "avdetect-cores"  # a folder of a file a core, locked by whoever has it


def alone(cores: int, load: Callable[[], Made]) -> Made:
    """Return what `load` makes, in a process that has so many cores to itself from here on."""
    keep_to_cores(cores)
    import torch

    torch.set_num_threads(cores)
    return load()


def keep_to_cores(count: int, locks: Path | None = None) -> set[int]:
    """Return the cores that this process and its later children run on from here on.

    They are none that another process has taken by this function; the system lets go of the locks
    of those that end. Where so many are not left, or the system cannot bind a process to cores
    (macOS), it keeps those that it had.

    locks: the folder that tells which are taken; None: one that all on this machine share.
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
    """Return so many of the cores, locked for as long as this process lives; or none of them."""
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
