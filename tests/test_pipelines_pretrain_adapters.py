"""Adapters in a run: what of a frozen encoder changes, and what its file holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from avdetect.example import example_frames, example_waveform
from extractors.encoder import VisionTransformer
from extractors.encoder_file import load_encoder, save_encoder
from extractors.media import write_clip
from pipelines.config import ConfigError
from pipelines.pretrain.batches import PretrainBatch, degraded
from pipelines.pretrain.recipe import NetworkConfig
from pipelines.pretrain.run import pretrain
from temporal.pretraining.autoencoder import start_anew

STAGE = "{updates: 3, batch: 2, length: 4, rate: 0.01, average: 0.0, evaluate_every: 3}"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, face_clip: Path) -> Path:
    """A recipe that goes on from a random encoder, by views alone."""
    folder = tmp_path_factory.mktemp("adapters")
    config = NetworkConfig(32, 2, 2, 16, 112).encoder
    encoder = start_anew(VisionTransformer(config))
    save_encoder(folder / "start.safetensors", config, encoder.state_dict())
    bright = np.clip(example_frames(1.0, size=(240, 320)) * 1.1, 0, 255).astype(np.uint8)
    write_clip(folder / "bright.mp4", bright, example_waveform(1.0))
    (folder / "corpus.csv").write_text(f"path,split\n{face_clip},train\nbright.mp4,val\n")
    path = folder / "adapt.yaml"
    path.write_text(
        f"start: {folder / 'start.safetensors'}\nobjective: m3i\n"
        "settings: {picture_to_sound: 0, sound_to_picture: 0, frames: 1}\n"
        f"corpus: {{manifest: {folder / 'corpus.csv'}, cache: {folder / 'cache'}}}\n"
        f"threads: 1\nstage: {STAGE}\n"
    )
    return path


def test_colora_changes_matrices_by_a_low_rank_and_nothing_else(
    recipe: Path, tmp_path: Path
) -> None:
    done = pretrain(
        recipe,
        [f"out={tmp_path}", "adapter.kind=colora", "adapter.trial=3", "adapter.budget=0.1"],
    )
    old = load_encoder(recipe.parent / "start.safetensors").state_dict()
    new = load_encoder(done.encoder).state_dict()
    assert set(old) == set(new)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    (trial,) = [row for row in log if "ranks" in row]
    assert trial["ranks"]
    spent = 0
    for name, tensor in new.items():
        rank = trial["ranks"].get(name.removeprefix("blocks.").removesuffix(".weight"), 0)
        change = tensor - old[name]
        if not rank:
            assert torch.equal(tensor, old[name]), name
        else:
            values = torch.linalg.svdvals(change)
            assert float(values[0]) > 0
            assert float(values[rank:].sum()) < 1e-3 * float(values[0])
            spent += rank * sum(tensor.shape)
    assert 0 < spent <= trial["budget"] == int(0.1 * 2 * 12 * 32**2)


def test_a_budget_below_one_rank_is_refused(recipe: Path, tmp_path: Path) -> None:
    words = [f"out={tmp_path}", "adapter.kind=colora", "adapter.trial=1", "adapter.budget=0.001"]
    with pytest.raises(ConfigError, match="budget: 24 numbers are too few"):
        pretrain(recipe, words)


def test_dvpt_learns_prompts_alone(recipe: Path, tmp_path: Path) -> None:
    done = pretrain(recipe, [f"out={tmp_path}", "adapter.kind=dvpt", "adapter.prompts=4"])
    old = load_encoder(recipe.parent / "start.safetensors").state_dict()
    encoder = load_encoder(done.encoder)
    new = encoder.state_dict()
    assert encoder.config.prompts == 4
    assert all(torch.equal(new[name], tensor) for name, tensor in old.items())
    assert {name.partition(".")[0] for name in set(new) - set(old)} == {"prompts"}
    assert float(new["prompts.up.weight"].abs().max()) > 0


def test_an_adapter_of_an_encoder_that_never_learned_is_refused(recipe: Path) -> None:
    with pytest.raises(ConfigError, match="`start` must name it"):
        pretrain(recipe, ["start=null", "adapter.kind=colora"])


def test_degraded_clips_are_restored_to_what_they_were() -> None:
    crops = torch.randint(256, (20, 2, 3, 112, 112), dtype=torch.uint8)
    batch = degraded(PretrainBatch({"appearance": crops}, 5), 0.5)
    assert torch.equal(batch.streams["clean"], crops)
    changed = (batch.streams["appearance"] != crops).flatten(1).any(dim=1)
    assert 4 <= int(changed.sum()) <= 16
    again = degraded(PretrainBatch({"appearance": crops}, 5), 0.5)
    assert torch.equal(again.streams["appearance"], batch.streams["appearance"])
    nothing = degraded(PretrainBatch({"appearance": crops}, 5), 0.0)
    assert torch.equal(nothing.streams["appearance"], crops)
