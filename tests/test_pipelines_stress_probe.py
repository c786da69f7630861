"""Probes run on as many clips as each is given, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from pipelines.data.samples import WHOLE, Sample
from pipelines.detection.session import DetectorSession
from pipelines.stress.probe import Probing, probe

SAMPLES = [
    Sample(Path(f"{i}.mp4"), "dev", "m", "s", "p", WHOLE if i % 2 else (), None, None)
    for i in range(12)
]
FUNCTIONS = {
    "attack": "attack",
    "noise": "noise_probe",
    "poison": "poison_metrics",
    "trigger": "trigger_probe",
}


def test_each_probe_has_its_own_number_of_clips_and_its_own_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stand_in(name: str) -> Any:
        def run(samples: list[Sample], session: object, kept: Path, on_step: object) -> Any:
            return {"by": name, "clips": len(samples), "kept": kept.name}

        return run

    for name, function in FUNCTIONS.items():
        monkeypatch.setattr(f"pipelines.stress.probe.{function}", stand_in(name))
    session = cast(DetectorSession, None)
    assert probe(SAMPLES, session, Probing(), tmp_path) == {}
    found = probe(SAMPLES, session, Probing(attack=4, trigger=6), tmp_path)
    assert found == {
        "attack": {"by": "attack", "clips": 4, "kept": "attack.jsonl"},
        "trigger": {"by": "trigger", "clips": 6, "kept": "trigger.jsonl"},
    }
    assert list(probe(SAMPLES, session, Probing(noise=2, poison=2), tmp_path)) == [
        "noise", "poison",
    ]  # fmt: skip


def test_a_probing_of_nothing_is_false_and_one_of_all_clips_is_true() -> None:
    assert not Probing()
    assert Probing(noise=0)
