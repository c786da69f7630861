"""Reconstruction beside the picture: its closed forms, and the published code's slips undone."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from extractors.streams import Streams
from pipelines.data.samples import WHOLE, Sample, Spans
from pipelines.train.clips import TrainClip
from pipelines.train.experts import Learner, train_steps
from pipelines.train.fit import Run
from pipelines.train.stage import StageConfig
from temporal.zoo.reconstruction import (
    AutoEncoder,
    GenConVit,
    HybridEncoder,
    Rebuilt,
    VariationalAutoEncoder,
    decibels,
    divergence,
    drawn,
)


def test_the_divergence_is_that_of_normal_distributions() -> None:
    mean, log_variance = torch.randn(5, 8), torch.randn(5, 8)
    spread = (0.5 * log_variance).exp()
    truth = kl_divergence(Normal(mean, spread), Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(divergence(mean, log_variance), truth)
    assert divergence(torch.zeros(2, 8), torch.zeros(2, 8)).tolist() == [0.0, 0.0]


def test_a_draw_has_the_spread_that_the_log_variance_says_whatever_the_mean() -> None:
    mean, log_variance = torch.full((40_000, 1), 3.0), torch.full((40_000, 1), -2.0)
    made = drawn(mean, log_variance)
    assert float(made.mean()) == pytest.approx(3.0, abs=0.01)
    assert float(made.std()) == pytest.approx(float(torch.tensor(-1.0).exp()), rel=0.02)


def test_the_bound_of_standard_normal_data_is_met_by_the_exact_posterior() -> None:
    # x = z + noise of unit spread, z standard normal: the posterior is N(x / 2, 1 / 2), and the
    # bound is then the likelihood itself, that of N(0, 2).
    x = torch.randn(20_000, 1)
    mean, log_variance = x / 2, torch.full_like(x, 0.5).log()
    latent = drawn(mean, log_variance)
    bound = Normal(latent, 1.0).log_prob(x)[:, 0] - divergence(mean, log_variance)
    truth = Normal(0.0, 2**0.5).log_prob(x).mean()
    assert float(bound.mean()) == pytest.approx(float(truth), abs=0.02)


def test_each_of_the_two_encoders_changes_the_logit() -> None:
    part = GenConVit(latent=8, width=16).eval()
    crops = torch.randint(0, 255, (1, 2, 3, 112, 112), dtype=torch.uint8)
    with torch.inference_mode():
        whole = part({"appearance": crops})
        kept = part.encoder.attention, part.encoder.local
        for broken in ("attention", "local"):
            setattr(part.encoder, broken, Nothing(16))
            assert not torch.allclose(part({"appearance": crops}), whole, atol=1e-4)
            part.encoder.attention, part.encoder.local = kept
        torch.testing.assert_close(part({"appearance": crops}), whole)


class Nothing(nn.Module):
    """An encoder that says nothing: patches (N, P, D) or crops (N, 3, H, W) become zeros."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x) if x.ndim == 3 else x.new_zeros(len(x), self.width)


def test_a_perfect_reconstruction_leaves_the_crop_alone_to_be_judged() -> None:
    part, crops = GenConVit(latent=8, width=16).eval(), torch.randn(3, 3, 112, 112)
    seen = part.encoder(crops)
    expected = [judge(torch.cat([seen, seen, 0 * seen], dim=1))[:, 0] for judge in part.judges]
    torch.testing.assert_close(part.beside(crops, (crops, crops)), torch.stack(expected).mean(0))


def test_sizes_are_those_of_crops_and_vectors() -> None:
    crops = torch.randn(2, 3, 112, 112)
    made, mean, log_variance = VariationalAutoEncoder(latent=8)(crops)
    assert AutoEncoder()(crops).shape == made.shape == crops.shape
    assert mean.shape == log_variance.shape == (2, 8)
    assert HybridEncoder(16)(crops).shape == (2, 32)


def plain_clip(fake: bool, level: int) -> TrainClip:
    """A clip of crops of one brightness."""
    crops = torch.full((4, 3, 112, 112), level, dtype=torch.uint8)
    spans: Spans = WHOLE if fake else ()
    sample = Sample(Path("x"), "train", "made", "made", "p", spans, None, None)
    return TrainClip(sample, Streams(0, 0, face_size=112.0, appearance=crops), None)


def test_learning_brings_the_reconstruction_nearer(tmp_path: Path) -> None:
    clips = [plain_clip(bool(i % 2), 20 + 60 * i) for i in range(4)]
    part = GenConVit(latent=8, width=16)
    assert isinstance(part, Learner)
    crops = [clip.chunk(0, 2, ["appearance"], None)["appearance"] for clip in clips]
    given = {"appearance": torch.stack(crops)}, torch.zeros(4, 2, 3), torch.ones(4, 2).bool()
    with torch.inference_mode():
        before = float(part.eval().learn(*given)[1])
    stage = StageConfig(updates=20, batch=4, length=2, rate=0.01, average=0.1, evaluate_every=20)
    run = Run(tmp_path, 0, "cpu", "float32")
    train_steps("part", part, ("appearance",), "visual", (clips, clips), stage, run)
    with torch.inference_mode():
        assert float(part.eval().learn(*given)[1]) < 0.9 * before


def test_only_genuine_steps_teach_to_rebuild_and_the_logit_is_the_error_in_logs() -> None:
    part = Rebuilt()
    crops = torch.randint(0, 255, (2, 3, 3, 16, 16), dtype=torch.uint8)
    targets, mask = torch.zeros(2, 3, 3), torch.ones(2, 3).bool()
    targets[0, :, 0], targets[1, 0, 0], mask[1, 1] = 1.0, -1.0, False  # forged, unknown, no step
    logits, loss = part.learn({"appearance": crops}, targets, mask)
    taught = (crops[1, 2] / 64.0 - 2.0)[None]
    error = (part.plain(taught) - taught).square().mean()
    assert float(loss.detach()) == pytest.approx(float(error.detach()), rel=1e-5)
    assert float(logits[1, 2]) == pytest.approx(float(error.detach().log()), rel=1e-4)
    torch.testing.assert_close(part({"appearance": crops}), logits)
    assert not logits.requires_grad
    targets[:] = 1.0
    assert float(part.learn({"appearance": crops}, targets, mask)[1].detach()) == 0.0


def test_a_constant_error_of_so_many_levels_has_its_decibels() -> None:
    crops = torch.randn(4, 3, 16, 16)
    for levels in (1.0, 8.0):
        expected = 20 * math.log10(255 / levels)
        assert decibels(crops + levels / 64, crops) == pytest.approx(expected, abs=1e-3)
    streams = {"appearance": torch.randint(0, 255, (1, 2, 3, 112, 112), dtype=torch.uint8)}
    with torch.inference_mode():
        told = GenConVit().eval().describe(streams)
    assert list(told) == ["rebuilt, dB", "rebuilt by the variational one, dB"]
    assert all(0 < value < 20 for value in told.values())  # they have learned nothing yet
