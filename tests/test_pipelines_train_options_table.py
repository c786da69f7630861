"""Options of a recipe: each changes what is trained, and none does so unasked."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from extractors.media import SAMPLE_RATE, write_clip
from fusion.cvt import CvtLayer
from pipelines.config import ConfigError, from_dict
from pipelines.detection.detector import load_detector
from pipelines.storage.weights import load_weights
from pipelines.train.options.mdb import MdbConfig
from pipelines.train.options.table import OptionsConfig
from pipelines.train.recipe import TrainConfig
from pipelines.train.run import train

OPTIONS = {
    "qad": "{warm: 0, gamma: 0.01}",
    "mdb": "{}",
    "lsda": "{}",
    "ucf": "{}",
    "gmdf": "{}",
    "selfcon": "{}",
}  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chirps of two sources and two splits, half of which hiss."""
    folder = tmp_path_factory.mktemp("corpus")
    rng, rows = np.random.default_rng(0), []
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for index in range(8):
        fake, split = index % 2 == 1, ("train", "val")[index // 4]
        sound = 0.3 * np.sin(2 * np.pi * (200 + 40 * index + 100 * times) * times)
        sound += (0.1 if fake else 0.002) * rng.normal(size=len(times))
        write_clip(folder / f"{index}.m4a", None, sound.astype(np.float32))
        method = ("hiss", "noise")[index // 2 % 2]
        rows.append({"file": f"{index}.m4a", "label": "fake" if fake else "real", "repo": split,
                     "method": method, "speaker": str(index)})  # fmt: skip
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    (folder / "splits.yaml").write_text("val: [val]\n")
    return folder


def recipe_with(corpus: Path, out: str, options: str) -> Path:
    """Write how to train the sound expert for two updates."""
    names = ("lips", "flow", "depth", "mel", "voice")
    sizes = "{dim: 16, appearance: 8, " + ", ".join(f"{name}: [4, 8]" for name in names) + "}"
    recipe = corpus / f"{out}.yaml"
    recipe.write_text(
        f"out: {corpus / out}\nthreads: 1\nprecision: bfloat16\nstages: [mel]\n"
        f"data: {{sounds: {corpus / 'manifest.csv'}, splits: {corpus / 'splits.yaml'}, "
        f"cache: {corpus / 'cache'}, workers: 1}}\n"
        f"detector: {{name: tiny, experts: {sizes}, opinions: [mel]}}\n"
        f"mel: {{updates: 2, batch: 4, length: 13, evaluate_every: 2}}\n{options}"
    )
    return recipe


def trained(corpus: Path, out: str, options: str) -> dict[str, torch.Tensor]:
    """Train the sound expert for two updates; return the detector's weights."""
    weights = train(recipe_with(corpus, out, options))
    assert load_detector(weights).config.name == "tiny"
    return load_weights(weights, None)[0]


@pytest.fixture(scope="module")
def plain(corpus: Path) -> dict[str, torch.Tensor]:
    return trained(corpus, "plain", "")


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_changes_what_two_updates_teach(
    name: str, corpus: Path, plain: dict[str, torch.Tensor]
) -> None:
    weights = trained(corpus, name, f"options: {{{name}: {OPTIONS[name]}}}\n")
    shared = [n for n in plain if n.startswith("experts.mel.")]
    assert any(not torch.equal(weights[n], plain[n]) for n in shared)
    assert all(weights[n].isfinite().all() for n in weights)
    others = [n for n in plain if n.startswith("experts.") and n not in shared]
    assert all(torch.equal(weights[n], plain[n]) for n in others)
    log = [json.loads(line) for line in (corpus / name / "log.jsonl").read_text().splitlines()]
    assert [row["update"] for row in log if "loss" in row] == [2]


def test_an_option_of_another_stage_leaves_this_one_as_it_was(
    corpus: Path, plain: dict[str, torch.Tensor]
) -> None:
    again = trained(corpus, "again", "options: {qad: {stages: [appearance]}}\n")
    assert all(torch.equal(again[name], plain[name]) for name in plain)


def test_several_processes_are_refused_before_any_work(corpus: Path) -> None:
    with pytest.raises(ConfigError, match="options: mdb: trained by one process alone, not 2"):
        train(recipe_with(corpus, "several", "options: {mdb: {}}\n"), workers=2)
    assert not (corpus / "several").exists()


def test_fusion_is_trained_with_convolutions_along_time(corpus: Path) -> None:
    stage = "fusion={updates: 2, batch: 4, length: 20, evaluate_every: 2}"
    chosen = ("stages=[fusion]", "detector.fusion.block=cvt", stage)
    opinions = "detector.opinions=[mel, fusion of audio]"
    weights = train(recipe_with(corpus, "cvt", ""), (*chosen, opinions))
    detector = load_detector(weights)
    assert all(isinstance(layer, CvtLayer) for layer in detector.fusion.time)
    log = [json.loads(line) for line in (corpus / "cvt" / "log.jsonl").read_text().splitlines()]
    assert [row["update"] for row in log if "loss" in row] == [2]


def test_every_option_is_tried() -> None:
    assert set(OPTIONS) == set(OptionsConfig.__dataclass_fields__)
    assert OptionsConfig().chosen() == {}
    assert all(TrainConfig().options.of(name) is None for name in ("appearance", "mel"))


def test_options_share_no_stage_and_name_only_experts() -> None:
    with pytest.raises(ConfigError, match="mdb and qad both teach appearance; `stages` parts them"):
        from_dict(OptionsConfig, {"qad": {}, "mdb": {}}, "options")
    parted = {"qad": {"stages": ["mel"]}, "mdb": {"stages": ["flow"], "power": 1.0}}
    both = from_dict(OptionsConfig, parted, "options")
    assert both.of("flow") == MdbConfig(stages=("flow",), power=1.0)
    assert both.of("depth") is None
    with pytest.raises(ConfigError, match=r"options: qad: stages must be of .*got \['lips'\]"):
        from_dict(OptionsConfig, {"qad": {"stages": ["lips"]}}, "options")
    with pytest.raises(ConfigError, match="unknown key"):
        from_dict(OptionsConfig, {"sam": {}}, "options")
