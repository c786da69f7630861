"""`avdetect benchmark`: what the whole command costs, from the start of its process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from avdetect.commands.benchmark_stages import Cost, cost_of

if TYPE_CHECKING:
    from pipelines.detection.session import WeightsSpec

# What a user types, and the options that follow the clip.
COMMANDS: dict[str, tuple[str, ...]] = {
    "avdetect detect": (),
    "avdetect detect --report": ("--report", "pages"),
    "avdetect detect --fast": ("--fast",),
}


def commands_costs(model: WeightsSpec, clip: Path, runs: int) -> dict[str, Cost]:
    """Return what each of `COMMANDS` costs on a clip: medians of `runs`, after one not counted.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    costs = {}
    for name, options in COMMANDS.items():
        taken = [cost_of(partial(run_command, model, clip, options)) for _ in range(runs + 1)][1:]
        costs[name] = Cost(
            median(cost.wall for cost in taken), median(cost.processor for cost in taken)
        )
    return costs


def run_command(model: WeightsSpec, clip: Path, options: tuple[str, ...]) -> None:
    """Run `avdetect detect` on a clip as a process of its own; what it writes is dropped.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    line = [sys.executable, "-m", "avdetect", "detect", str(clip.resolve()), *options]
    line += ["--device", model.device]
    line += ["--weights", str(model.weights.resolve())] if model.weights else []
    for override in model.overrides:
        line += ["--set", override]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(line, cwd=folder, check=True, capture_output=True)
