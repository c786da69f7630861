"""The benchmark's command: a process of its own, as a user starts it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from avdetect.commands import benchmark_command
from avdetect.commands.benchmark_command import COMMANDS, commands_costs, run_command
from avdetect.commands.benchmark_stages import Cost
from avdetect.example import example_clip
from pipelines.detection.session import WeightsSpec


def test_medians_are_taken_of_all_runs_but_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = iter([Cost(50.0, 50.0), Cost(2.0, 9.0), Cost(3.0, 8.0), Cost(1.0, 7.0)] * len(COMMANDS))
    monkeypatch.setattr(benchmark_command, "cost_of", lambda work: next(costs))
    measured = commands_costs(WeightsSpec(), Path("clip.mp4"), runs=3)
    assert measured == {name: Cost(wall=2.0, processor=8.0) for name in COMMANDS}


def test_the_command_gets_the_clip_and_what_the_user_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines: list[Any] = []

    def run(line: list[str], **how: Any) -> None:
        assert Path(how["cwd"]).is_dir()
        lines.append(line[3:])

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.chdir(tmp_path)
    model = WeightsSpec(Path("own.safetensors"), "cuda", ("fast=true", "faces=2"))
    run_command(model, Path("clip.mp4"), ("--fast",))
    assert lines == [
        ["detect", str(tmp_path / "clip.mp4"), "--fast", "--device", "cuda",
         "--weights", str(tmp_path / "own.safetensors"), "--set", "fast=true", "--set", "faces=2"]
    ]  # fmt: skip


def test_a_drawn_clip_is_judged_and_what_fails_is_not_timed(tmp_path: Path) -> None:
    example_clip(tmp_path / "clip.mp4", 1.0)
    run_command(WeightsSpec(), tmp_path / "clip.mp4", COMMANDS["avdetect detect --fast"])
    with pytest.raises(subprocess.CalledProcessError):
        run_command(WeightsSpec(), tmp_path / "absent.mp4", ())
