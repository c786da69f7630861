"""`avdetect benchmark`: all that is measured in one run, and how it is shown."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from avdetect.commands.benchmark_clips import CLIPS
from avdetect.commands.benchmark_command import commands_costs
from avdetect.commands.benchmark_memory import peak_of_judging
from avdetect.commands.benchmark_peers import PEERS
from avdetect.commands.benchmark_stages import Cost, cost_of, costs_table, measure
from pipelines.detection.session import WeightsSpec


@dataclass(frozen=True)
class BenchmarkCosts:
    """What judging drawn clips costs on this machine."""

    seconds: int  # of each clip
    runs: int
    # by the clip's name: plain decoding, each stage, the command, peers
    stages: dict[str, dict[str, Cost]]
    peaks: dict[str, float]  # MB of a process that judges that clip alone


def measure_all(model: WeightsSpec, seconds: int, runs: int) -> BenchmarkCosts:
    """Return the costs of judging each of `CLIPS`, of the command, and of its peers' steps."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.mp4" for name in CLIPS}
        for name, file in files.items():
            CLIPS[name](file, seconds)
        # before this process loads anything: two sessions need not fit into memory
        peaks = {name: peak_of_judging(model, file) for name, file in files.items()}
        commands = {name: commands_costs(model, file, runs) for name, file in files.items()}
        session = model.load()
        stages = {name: measure(session, file, runs) for name, file in files.items()}
        for name, file in files.items():
            stages[name] |= commands[name]
            for peer, steps in PEERS.items():
                stages[name][peer] = cost_of(partial(steps, file))
    return BenchmarkCosts(seconds, runs, stages, peaks)


def costs_tables(measured: BenchmarkCosts) -> Group:
    """Return the costs for a terminal."""
    parts: list[RenderableType] = []
    for name, costs in measured.stages.items():
        parts += [
            costs_table(name, costs, measured.seconds),
            Text(f"a process that judges it alone peaks at {measured.peaks[name]:.0f} MB\n"),
        ]
    return Group(*parts)
