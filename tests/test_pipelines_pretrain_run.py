"""Pre-training: from a recipe and drawn clips to an encoder that portraits are made by."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from avdetect import cli
from avdetect.example import example_frames, example_waveform
from extractors.encoder_file import load_encoder
from extractors.media import write_clip
from extractors.portrait import PortraitEncoder
from pipelines.config import ConfigError, load_config
from pipelines.pretrain.batches import look_batch
from pipelines.pretrain.corpus import FaceLooks
from pipelines.pretrain.recipe import OBJECTIVES, NetworkConfig, PretrainConfig
from pipelines.pretrain.run import pretrain


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, face_clip: Path) -> Path:
    """A recipe of a tiny network on two drawn clips; the streams are cached once for all."""
    folder = tmp_path_factory.mktemp("pretrain")
    dark = (example_frames(1.6, size=(240, 320)) * 0.7).astype(np.uint8)
    write_clip(folder / "dark.mp4", dark, example_waveform(1.6))
    (folder / "corpus.csv").write_text(
        "path,split,licence,attribution,contains_people\n"
        f"{face_clip},train,CC BY 4.0,its painter,no\ndark.mp4,val,CC BY 4.0,its painter,\n"
    )
    path = folder / "pretrain.yaml"
    path.write_text(
        f"out: {folder / 'run'}\n"
        "threads: 1\nnetwork: {width: 32, heads: 2, layers: 2, patch: 16, image: 112}\n"
        f"corpus: {{manifest: {folder / 'corpus.csv'}, cache: {folder / 'cache'}}}\n"
        "stage: {updates: 2, batch: 2, length: 8, evaluate_every: 1}\n"
    )
    return path


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_leaves_an_encoder_of_portraits(
    recipe: Path, tmp_path: Path, objective: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = f"out={tmp_path}"
    assert cli.main(["pretrain", str(recipe), "--set", f"objective={objective}", "--set", out]) == 0
    said = capsys.readouterr().out
    assert "by chance" in said
    assert str(tmp_path / "encoder.safetensors") in said
    encoder = load_encoder(tmp_path / "encoder.safetensors")
    assert (encoder.config.width, encoder.config.layers) == (32, 2)
    portraits = PortraitEncoder(encoder, ("face/2/mean", "face/1/class"), 12)
    frames = [np.full((200, 200, 3), 90, np.uint8)]
    features = portraits("face", frames, np.array([[100, 100, 115, 0]], np.float32))
    assert features.shape == (1, 2, 32)
    assert bool(features.isfinite().all())
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[0]["clips"] == {"train": 1, "val": 1}
    assert log[-1]["held_out"] < 2 * log[-1]["chance"]


def test_a_finished_run_is_not_trained_again_and_an_encoder_goes_on(
    recipe: Path, tmp_path: Path
) -> None:
    overrides = [f"out={tmp_path / 'first'}", "objective=selfie"]
    first = pretrain(recipe, overrides)
    begun = load_encoder(first.encoder).state_dict()
    updates = (tmp_path / "first" / "log.jsonl").read_text().count('"update"')
    again = load_encoder(pretrain(recipe, overrides).encoder).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in begun.items())
    assert (tmp_path / "first" / "log.jsonl").read_text().count('"update"') == updates == 2
    going = pretrain(
        recipe,
        [f"out={tmp_path / 'second'}", f"start={first.encoder}", "objective=video-mae",
         "settings.frames=4", "stage.rate=1e-9"],
    )  # fmt: skip
    for name, tensor in load_encoder(going.encoder).state_dict().items():
        torch.testing.assert_close(tensor, begun[name], atol=1e-6, rtol=1e-4)


def test_a_run_that_broke_off_ends_as_an_unbroken_one(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.train import fit

    whole = pretrain(recipe, [f"out={tmp_path / 'whole'}"])
    write = fit.write_by

    def broken(path: Path, how: object) -> None:
        write(path, how)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, "write_by", broken)
    with pytest.raises(KeyboardInterrupt):
        pretrain(recipe, [f"out={tmp_path / 'broken'}"])
    monkeypatch.undo()
    again = pretrain(recipe, [f"out={tmp_path / 'broken'}"])
    one, two = (load_encoder(p.encoder).state_dict() for p in (whole, again))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor)


def test_the_policy_refuses_the_record_that_states_nothing(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pretrain", str(recipe), "--set", "corpus_policy=no_humans"]
    assert cli.main([*words, "--set", f"out={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert "line 3 (dark.mp4): corpus_policy no_humans: states no contains_people" in error
    assert not list(tmp_path.glob("*.safetensors"))


def test_settings_that_an_objective_lacks_are_refused_by_name(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"settings of fsfm: .*'tubes'"):
        pretrain(recipe, [f"out={tmp_path}", "settings.tubes=3"])
    with pytest.raises(ConfigError, match="network: patches must fill the image"):
        pretrain(recipe, [f"out={tmp_path}", "network.patch=15"])


def test_the_shipped_recipe_is_of_the_small_network() -> None:
    config = load_config(PretrainConfig, Path("configs/pretrain.yaml"))
    encoder = config.network.encoder
    assert (encoder.width, encoder.hidden, encoder.image // encoder.patch) == (128, 512, 14)
    assert config.network == NetworkConfig()
    assert config.objective == "fsfm"


def test_a_mirrored_crop_has_mirrored_regions() -> None:
    place = torch.arange(64, dtype=torch.uint8).view(1, 8, 8)
    looks = FaceLooks(place[:, None].expand(1, 3, 8, 8), place)
    batch = look_batch([looks], 32, (0, 1))
    crops, regions = batch.streams["appearance"], batch.streams["regions"]
    assert crops.shape == (32, 1, 3, 8, 8)
    assert torch.equal(crops[:, :, 0], regions)
    mirrored = (regions[:, 0, 0, 0] == 7).float().mean()
    assert 0.2 < float(mirrored) < 0.8
