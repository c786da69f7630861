"""Drawn attacks, their cues and a head that learns them; errors by their closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from extractors.encoder import EncoderConfig, VisionTransformer
from extractors.errors import InputError
from extractors.streams import Streams
from fusion.heads.liveness import LivenessHead
from pipelines.config import ConfigError, load_config
from pipelines.data.samples import Sample
from pipelines.detection.starter import ENCODER
from pipelines.forge.picture.presentation import ATTACKS, glare, moire, presented
from pipelines.metrics.presentation import presentation_errors
from pipelines.storage.weights import WeightsError, save_weights
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run
from pipelines.train.stage import StageConfig
from pipelines.zoo.head_clips import kind_of
from pipelines.zoo.liveness import (
    CATEGORIES,
    LivenessConfig,
    build_liveness,
    fit_liveness,
    load_liveness,
    measured_liveness,
    presentations,
    save_liveness,
)
from temporal.zoo.presentation_cues import highlights, moire_peak

ROOT = Path(__file__).resolve().parents[1]
YAML = ROOT / "configs" / "heads" / "untrained" / "liveness.yaml"


def faces(count: int, seed: int = 0) -> Tensor:
    """Crops (N, 3, 112, 112) of soft blobs in the colours of skin, with a camera's noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 7, 7, generator=generator) * 90 + 70
    smooth = torch.nn.functional.interpolate(coarse, (112, 112), mode="bicubic")
    smooth = smooth * torch.tensor([1.2, 1.0, 0.8])[:, None, None]
    noise = torch.randn(count, 3, 112, 112, generator=generator) * 2
    return (smooth + noise).clamp(0, 255).byte()


def clips(count: int, seed: int) -> list[TrainClip]:
    sample = Sample(Path("x"), "train", "real", "made", "p", (), None, None)
    depth = torch.ones(3, 1, 56, 56).half()
    made = []
    for index in range(count):
        streams = Streams(0, 0, face_size=112.0, appearance=faces(3, 100 * seed + index),
                          depth=depth)  # fmt: skip
        made.append(TrainClip(sample, streams, None))
    return made


@pytest.fixture(scope="module")
def encoder() -> VisionTransformer:
    torch.manual_seed(0)
    config = EncoderConfig(width=32, heads=2, hidden=48, layers=1, patch=16, image=112)
    made = VisionTransformer(config).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return made


@pytest.mark.parametrize("frequency", [0.125, 0.2, 0.25, 0.375])
@pytest.mark.parametrize("angle", [0.0, 0.6, 2.0])
def test_moire_of_a_known_frequency_is_the_peak_of_the_spectrum(
    frequency: float, angle: float
) -> None:
    crops = faces(2).float()
    strength, found = moire_peak(moire(crops, frequency, angle, 10.0))
    assert found.tolist() == pytest.approx([frequency] * 2, abs=1 / 112)
    assert (strength > moire_peak(crops)[0] + 1).all()


def test_a_screen_shows_moire_and_a_flat_picture_none() -> None:
    crops = faces(3)
    shown = presented(crops, "screen replay", np.random.default_rng(1))
    assert (moire_peak(shown)[0] > moire_peak(crops)[0]).all()
    flat = torch.full((1, 3, 64, 64), 128, dtype=torch.uint8)
    assert moire_peak(flat)[0].item() == 0


def test_the_share_of_highlights_is_that_of_white_pixels_and_they_have_no_saturation() -> None:
    crops = torch.zeros(1, 3, 50, 40)
    crops[:, 0] = 200.0  # a red of full saturation
    assert [v.item() for v in highlights(crops)] == [0.0, 1.0]
    crops[..., :5, :10] = 255.0
    assert [v.item() for v in highlights(crops)] == pytest.approx([50 / 2000, 0.0])
    lit = glare(crops, np.random.default_rng(0), 255.0)
    assert highlights(lit)[0].item() > 50 / 2000


@pytest.mark.parametrize("kind", ATTACKS)
def test_every_attack_changes_the_picture_alike_in_all_crops_by_its_generator(kind: str) -> None:
    crops = faces(1).expand(2, -1, -1, -1)
    shown = presented(crops, kind, np.random.default_rng(3))
    assert shown.shape == crops.shape
    assert shown.dtype == torch.uint8
    assert (shown.float() - crops.float()).abs().mean() > 2
    assert torch.equal(shown, presented(crops, kind, np.random.default_rng(3)))
    if kind != "low light":  # whose noise is new in each
        assert torch.equal(shown[0], shown[1])


def test_errors_are_shares_and_acer_is_the_mean_of_apcer_and_bpcer() -> None:
    kinds = ["genuine"] * 10 + ["print"] * 4 + ["mask"] * 5
    scores = [0.1] * 8 + [0.9] * 2 + [0.9] * 3 + [0.2] + [0.9] * 3 + [0.2] * 2
    errors = presentation_errors(kinds, scores, 0.5)
    assert errors.apcer_of == {"mask": 0.4, "print": 0.25}
    assert (errors.apcer, errors.bpcer) == (0.4, 0.2)
    assert errors.acer == pytest.approx((errors.apcer + errors.bpcer) / 2) == pytest.approx(0.3)
    assert presentation_errors(kinds, scores, 0.0).acer == 0.5  # all are called attacks
    with pytest.raises(InputError, match="only one of both"):
        presentation_errors(["genuine"], [0.5], 0.5)


def test_the_loss_is_infonce_over_the_categories() -> None:
    """ln C where nothing is known, 0 where every crop lies on its category's vector."""
    head = LivenessHead(8, 8, dim=8).eval()
    with torch.no_grad():
        head.project.weight.copy_(torch.eye(8))
        head.project.bias.zero_()
        head.categories.copy_(torch.eye(8))
    vectors, own = torch.eye(8), torch.arange(8)
    assert head.loss(vectors, own).item() == pytest.approx(0, abs=1e-4)
    assert head.attack_scores(vectors)[0].item() == pytest.approx(0, abs=1e-4)
    assert head.attack_scores(vectors)[1:].tolist() == pytest.approx([1.0] * 7, abs=1e-4)
    with torch.no_grad():
        head.categories.copy_(torch.ones(8, 8))
    assert head.loss(vectors, own).item() == pytest.approx(np.log(8), abs=1e-4)
    assert head.attack_scores(vectors).tolist() == pytest.approx([7 / 8] * 8, abs=1e-4)


def test_a_head_learns_drawn_attacks_and_comes_back_from_its_file(
    encoder: VisionTransformer, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    stage = StageConfig(updates=120, batch=64, rate=0.01, average=0.9, evaluate_every=60)
    config = LivenessConfig("t", "liveness", block=1, draws=2, settings={"dim": 16}, stage=stage)
    train, val = (presentations(clips(n, s), encoder, config, s) for n, s in ((8, 1), (4, 2)))
    assert train.vectors.shape == (8 * 8 * 2, 2 * 32 + 4)
    assert sorted(set(val.kinds)) == sorted(CATEGORIES)
    head = build_liveness(config, train.vectors.shape[1])
    fit_liveness("liveness", head, train, val, config, Run(tmp_path, 0, "cpu", "float32"))
    row = measured_liveness(head.eval(), val)
    assert row["right category"][0] > 0.6  # an eighth by chance
    assert row["AUC of attacks"][0] > 0.8
    worst = max(value for name, value in row.items() if name.startswith("APCER of"))
    assert row["ACER"] == pytest.approx((worst + row["BPCER"]) / 2)
    save_liveness(tmp_path / "liveness.safetensors", head, config)
    again, read = load_liveness(tmp_path / "liveness.safetensors")
    assert read == config
    with torch.no_grad():
        assert torch.equal(again(val.vectors), head(val.vectors))


def test_no_clips_a_strange_file_and_wrong_settings_are_one_sentence(
    encoder: VisionTransformer, tmp_path: Path
) -> None:
    config = load_config(LivenessConfig, YAML)
    assert kind_of(YAML) == "liveness"
    with pytest.raises(ConfigError, match="no genuine clips"):
        presentations([], encoder, config, 0)
    with pytest.raises(ConfigError, match="settings"):
        build_liveness(LivenessConfig("t", "liveness", settings={"depth": 3}), 4)
    save_weights(tmp_path / "x.safetensors", {}, "avdetect liveness 1", {"encoder": "another"})
    with pytest.raises(WeightsError, match="another picture encoder"):
        load_liveness(tmp_path / "x.safetensors")
    assert ENCODER.exists()
