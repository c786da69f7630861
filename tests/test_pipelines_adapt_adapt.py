"""From a table of one's own clips to weights: what is held out teaches nothing."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avdetect import cli
from avdetect.example import example_waveform
from extractors.media import write_clip
from pipelines.adapt.adapt import AdaptConfig, adapt, write_reference
from pipelines.adapt.reference import load_reference
from pipelines.detection.detector import Detector, load_detector, save_detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.session import load
from temporal.experts import ExpertConfig

TINY = ExpertConfig(
    dim=16, appearance=4, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
)
COUNT = 12
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of six voices, of which every other one is dull, and weights for sound alone."""
    folder = tmp_path_factory.mktemp("own")
    for index in range(COUNT):
        wave = np.roll(example_waveform(1.6), 900 * index)
        if index % 2:
            wave = np.convolve(wave, np.ones(6) / 6, "same")
        write_clip(folder / f"{index}.m4a", None, (0.9 * wave).astype(np.float32))
    torch.manual_seed(0)
    opinions = ("mel", "speech", "fusion of audio")
    save_detector(
        folder / "tiny.safetensors",
        Detector(DetectorConfig("tiny", opinions=opinions, experts=TINY)),
        {},
    )
    return folder


@pytest.fixture
def manifest(folder: Path) -> Write:
    def write(name: str, split: bool = False, flipped: bool = False) -> Path:
        with (folder / name).open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["path", "label", "speaker", "split"])
            for index in range(COUNT):
                held = split and index >= COUNT // 2
                fake = bool(index % 2) != (held and flipped)
                row = [f"{index}.m4a", "fake" if fake else "real", f"v{index // 2}"]
                table.writerow([*row, "dev" if held else ""])
        return folder / name

    return write


def config(folder: Path, manifest: Path, out: str) -> AdaptConfig:
    return AdaptConfig(
        (manifest,), folder / out, folder / "tiny.safetensors", cache=folder / "cache"
    )


def test_what_is_held_out_teaches_nothing(folder: Path, manifest: Write) -> None:
    """The labels of the clips held out turned round: the measurement changes, not the weights."""
    states, areas = [], []
    for name, flipped in (("a", False), ("b", True)):
        own = config(folder, manifest(f"{name}.csv", split=True, flipped=flipped), f"{name}.st")
        found = adapt(own)
        assert found["taught"] == {"clips": 6, "genuine": 3, "fakes": 3, "groups": 3}
        assert found["held_out"]["clips"] == 6
        states.append(load_detector(own.out).state_dict())
        areas.append(found["held_out"]["after"]["auc"])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert None not in areas
    assert areas[0] == pytest.approx(1 - (areas[1] or 0.0))


def test_the_command_writes_weights_that_judge_and_a_card(
    folder: Path, manifest: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["adapt", str(manifest("c.csv")), "--weights", str(folder / "tiny.safetensors")]
    words += ["--cache", str(folder / "cache"), "--out", str(folder / "mine.safetensors")]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    assert "held out (" in printed
    assert "not measured" in printed  # the package's reference is of other weights
    assert load(folder / "mine.safetensors").detect(folder / "0.m4a").model["name"] == "mine"
    assert "# mine.safetensors" in (folder / "mine.md").read_text()
    assert cli.main([*words[:-1], str(folder / "calm.safetensors"), "--genuine-only"]) == 0
    assert "split conformal prediction" in (folder / "calm.md").read_text()


def test_one_sentence_names_who_is_on_both_sides(
    folder: Path, manifest: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    leaking = manifest("leak.csv", split=True)
    leaking.write_text(leaking.read_text().replace("v5", "v0"))
    words = ["adapt", str(leaking), "--weights", str(folder / "tiny.safetensors")]
    words += ["--cache", str(folder / "cache"), "--out", str(folder / "leak.safetensors")]
    assert cli.main(words) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert "leak.csv: the person 'v0' is among the clips that teach" in complaint
    assert not (folder / "leak.safetensors").exists()


def test_forgetting_is_measured_on_a_reference_of_ones_own(folder: Path, manifest: Write) -> None:
    own = config(folder, manifest("d.csv"), "ref.safetensors")
    written = write_reference(own)
    assert written.what == "12 clips of d.csv"
    assert load_reference(own.out).model == written.model
    for reference in (own.out, own.manifests[0]):
        found = adapt(replace(own, out=folder / "e.safetensors", reference=reference))
        assert found["reference"] is not None
        assert found["reference"]["clips"] == 12
        assert found["reference_what"] == written.what
