"""Sharpness: rings of spatial frequency, and what a face's size explains of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pipelines.metrics.classification import auc
from temporal.opinions.sharpness import FLOOR, RINGS, SharpnessOpinion, powers, ring_power, rings


def grey(luma: Tensor) -> Tensor:
    """Return pictures (L, 3, H, H) without colour of a brightness (L, H, H)."""
    return luma[:, None].expand(-1, 3, -1, -1)


def test_white_noise_has_its_variance_in_every_ring() -> None:
    noise = 20 * torch.randn(64, 112, 112, generator=torch.Generator().manual_seed(0))
    power = ring_power(grey(noise + 128))
    assert power.shape == (64, RINGS)
    # ring 0 lacks what the mean takes with it
    assert torch.allclose(power.exp().mean(dim=0)[1:], torch.tensor(400 + FLOOR), rtol=0.05)


@pytest.mark.parametrize("ring", [2, 5, 9, 13])
def test_a_wave_is_found_in_the_ring_of_its_frequency(ring: int) -> None:
    frequency = (ring + 0.5) / RINGS / 2  # cycles a pixel
    wave = 30 * torch.sin(2 * math.pi * frequency * torch.arange(112.0)).expand(1, 112, 112)
    power = ring_power(grey(wave + 128))[0]
    assert int(power.argmax()) == ring
    assert power[ring] > power[[r for r in range(RINGS) if abs(r - ring) > 1]].max() + 2


def test_a_still_picture_has_no_spread_over_time() -> None:
    picture = torch.randint(0, 255, (1, 1, 3, 112, 112), generator=torch.Generator().manual_seed(0))
    mean, spread = rings(picture.expand(-1, 40, -1, -1, -1), 12).chunk(2, dim=-1)
    assert torch.allclose(mean, ring_power(picture[0]).expand(1, 40, -1), atol=1e-4)
    assert spread.abs().max() < 0.02


def test_a_step_hears_of_the_second_around_it_alone() -> None:
    pictures = torch.rand(1, 60, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 255
    changed = pictures.clone()
    changed[:, 30] = 0.0
    different = (rings(pictures, 12) - rings(changed, 12)).abs().amax(dim=(0, 2)) > 1e-6
    assert different.nonzero().flatten().tolist() == list(range(18, 43))


def planted(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return rings, sizes and labels of faces that are less sharp the larger they are.

    Generated ones lack a little of what their size promises: less than sizes differ by.
    """
    generator = torch.Generator().manual_seed(seed)
    size = torch.empty(count, 1).uniform_(60, 250, generator=generator)
    labels = (torch.arange(count) % 2).float()
    found = 0.1 * torch.randn(count, 2 * RINGS, generator=generator)
    found += 8.0 - 2.0 * size.log()
    found[:, 6] -= 0.5 * labels
    return found, size, labels


def test_the_rule_sees_what_size_hides() -> None:
    judge = SharpnessOpinion(12)
    found, size, labels = planted(400, 0)
    judge.fit(torch.cat([found, size], dim=1), labels, torch.ones(400))
    found, size, labels = planted(200, 1)
    left = (found - powers(size) @ judge.explained) / judge.spread
    assert auc(labels.int().numpy(), (left @ judge.rule).numpy()) > 0.98
    assert auc(labels.int().numpy(), -found[:, 6].numpy()) < 0.75
    assert int(judge.rule.abs().argmax()) == 6


def test_what_size_explains_is_told_exactly() -> None:
    found, size, labels = planted(100, 0)
    coefficients = torch.randn(3, 2 * RINGS, generator=torch.Generator().manual_seed(2))
    found = powers(size) @ coefficients
    found[labels == 1] -= 0.3
    judge = SharpnessOpinion(12)
    judge.fit(torch.cat([found, size], dim=1), labels, torch.ones(100))
    assert torch.allclose(judge.explained, coefficients, atol=1e-2)


def test_an_untrained_judge_has_no_opinion() -> None:
    pictures = torch.randint(0, 255, (1, 5, 3, 112, 112), dtype=torch.uint8)
    logits = SharpnessOpinion(12)(pictures, torch.full((1, 5, 1), 120.0))
    assert logits.shape == (1, 5)
    assert not logits.any()
