"""M3I: a bound of information, one loss of several, terms without weight that are not there."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from extractors.encoder import VisionTransformer
from pipelines.pretrain.recipe import NetworkConfig
from temporal.pretraining.autoencoder import start_anew
from temporal.pretraining.m3i import M3i, info_nce, label_loss, viewed

TINY = NetworkConfig(width=32, heads=2, layers=1, patch=8, image=32)


def tiny(*weights: float) -> M3i:
    torch.manual_seed(3)
    encoder = start_anew(VisionTransformer(TINY.encoder))
    return M3i(encoder, *weights, frames=2, projection=8)  # type: ignore[arg-type]


def clips(count: int) -> dict[str, Tensor]:
    targets = torch.zeros(count, 5, 3)
    targets[: count // 2, 2:] = 1
    targets[-1] = -1
    return {
        "appearance": torch.rand(count, 5, 3, 32, 32) * 255,
        "mel": torch.randn(count, 5, 80, 4), "targets": targets,
    }  # fmt: skip


def seed() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.9])
def test_the_bound_stays_below_the_information_of_gaussians_and_comes_near_it(rho: float) -> None:
    """With the best scores, ln p(a|v) / p(a); the information is -½ ln(1 - ρ²)."""
    truth, bounds = -0.5 * math.log(1 - rho**2), []
    for number in range(20):
        generator = torch.Generator().manual_seed(number)
        v = torch.randn(256, generator=generator).double()
        a = rho * v + (1 - rho**2) ** 0.5 * torch.randn(256, generator=generator).double()
        apart = (a[None] - rho * v[:, None]).square() / (1 - rho**2)
        scores = (a[None].square() - apart) / 2  # a constant is nothing to a softmax
        bounds.append(math.log(256) - float(info_nce(scores)))
    mean = sum(bounds) / 20
    assert mean <= truth + 0.03  # of twenty draws
    assert mean == pytest.approx(truth, abs=0.06)


def test_the_bound_is_never_above_the_log_of_the_number_of_clips() -> None:
    assert math.log(16) - float(info_nce(100 * torch.eye(16))) == pytest.approx(math.log(16))
    assert float(info_nce(torch.zeros(16, 16))) == pytest.approx(math.log(16))


@pytest.mark.parametrize("term", range(4))
def test_with_three_weights_at_0_the_loss_is_the_single_one_bit_by_bit(term: int) -> None:
    streams = clips(6)
    whole = tiny(1.0, 1.0, 1.0, 1.0).eval()
    crops = streams["appearance"][:, [0, 4]].flatten(0, 1)
    with torch.no_grad():
        alone = whole._terms(crops, streams, seed())[term]
        whole.weights = tuple(float(i == term) for i in range(4))  # type: ignore[assignment]
        assert torch.equal(whole(streams, seed()), alone)  # type: ignore[arg-type]


def test_without_the_terms_of_sound_no_sound_is_read() -> None:
    module = tiny(0.0, 0.0, 1.0, 0.0)
    assert module.reads == ("appearance",)
    streams = clips(4)
    del streams["mel"], streams["targets"]
    assert float(module(streams, seed()).detach()) > 0
    assert tiny(1.0, 0.0, 0.0, 0.0).reads == ("appearance", "mel")


def test_by_chance_every_term_costs_the_log_of_what_is_told_apart() -> None:
    assert tiny(1.0, 1.0, 1.0, 2.0).chance(8) == pytest.approx(3 * math.log(8) + 2 * math.log(2))


def test_clips_of_unknown_label_have_no_part() -> None:
    logits = torch.tensor([0.0, 3.0, 50.0])
    loss = float(label_loss(logits, torch.tensor([0.0, 1.0, -1.0])))
    assert loss == pytest.approx((math.log(2) + math.log1p(math.exp(-3))) / 2)
    assert float(label_loss(logits, torch.full((3,), -1.0))) == 0


def test_a_view_of_full_size_is_the_picture_or_its_mirror_image() -> None:
    crops = torch.rand(2, 3, 32, 32)
    noise = torch.tensor([[1.0, 0.5, 0.5, 0.9], [1.0, 0.5, 0.5, 0.1]])
    views = viewed(crops, noise)
    torch.testing.assert_close(views[0], crops[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(views[1], crops[1].flip(-1), atol=1e-5, rtol=0)
    part = viewed(crops[:1], torch.tensor([[0.0, 0.0, 0.0, 0.9]]))[0]
    assert float(part.mean()) == pytest.approx(float(crops[0, :, :20, :20].mean()), abs=0.02)


def test_picture_and_sound_of_a_clip_are_found_after_learning() -> None:
    """Brightness and loudness of a band go together."""
    module = tiny(1.0, 1.0, 0.0, 0.0)
    optimizer = torch.optim.AdamW(module.parameters(), 3e-3)
    losses = []
    for _ in range(50):
        level = torch.rand(8, 1, 1, 1)
        mel = torch.zeros(8, 5, 80, 4)
        mel[:, :, :40] += 6 * level
        crops = (255 * level[..., None]).expand(8, 5, 3, 32, 32)
        loss = module({"appearance": crops, "mel": mel}, seed())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) / 10 < 0.7 * module.chance(8)


def test_no_weight_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        tiny(0.0, 0.0, 0.0, 0.0)
