"""`avdetect benchmark`: the most memory that a process holds while it judges a clip."""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.detection.session import WeightsSpec

STATUS = Path("/proc/self/status")
SPAWN = multiprocessing.get_context("spawn")


def peak_of_judging(model: WeightsSpec, clip: Path) -> float:
    """Return the peak in MB of a fresh process that loads a session and judges one clip.

    The decoder, a process of its own, is not counted.

    Raises:
        EOFError: the process crashed.
    """
    ours, theirs = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_judge, args=(model, clip, theirs), daemon=True)
    process.start()
    theirs.close()  # so that reading ends where the process does
    try:
        return float(ours.recv())
    finally:
        process.join()


def _judge(model: WeightsSpec, clip: Path, peak: Connection) -> None:
    from avdetect.terminal.output import quiet_libraries

    with quiet_libraries():
        model.load().detect(clip)
    peak.send(peak_memory())


def peak_memory() -> float:
    """Return the peak of this process's resident memory in MB (2**20 bytes).

    The kernel's own account where there is one: that of `getrusage` begins with what the process
    that started this one held.
    """
    if STATUS.is_file():
        lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
