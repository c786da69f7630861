"""Selfie: the loss by chance, the loss of one who knows, and that it learns."""

from __future__ import annotations

import math

import pytest
import torch

from extractors.encoder import VisionTransformer
from pipelines.pretrain.recipe import NetworkConfig
from temporal.pretraining.autoencoder import start_anew
from temporal.pretraining.selfie import Selfie, selection_loss

TINY = NetworkConfig(width=32, heads=2, layers=1, patch=8, image=32)


def test_among_identical_distractors_the_loss_is_the_log_of_their_number() -> None:
    same = torch.randn(1, 1, 16).expand(3, 7, 16)
    assert float(selection_loss(torch.randn(3, 7, 16), same)) == pytest.approx(math.log(7))


def test_orthogonal_patches_that_are_asked_for_exactly_cost_nothing() -> None:
    patches = torch.eye(8).expand(2, 8, 8)
    assert float(selection_loss(patches, patches)) == pytest.approx(
        math.log(math.e + 7) - 1, abs=1e-6
    )
    assert float(selection_loss(60 * patches, patches)) < 1e-6


def test_identical_patches_leave_the_module_at_chance() -> None:
    module = Selfie(start_anew(VisionTransformer(TINY.encoder)), hidden=0.5)
    flat = torch.full((2, 1, 3, 32, 32), 90, dtype=torch.uint8)
    loss = float(module({"appearance": flat}, torch.Generator().manual_seed(0)))
    assert loss == pytest.approx(math.log(8), abs=1e-5) == module.chance(2)


def test_patches_find_their_place_after_learning() -> None:
    """Pictures whose brightness grows from corner to corner, each from a level of its own."""
    module = Selfie(start_anew(VisionTransformer(TINY.encoder)), hidden=0.5)
    slope = torch.linspace(0, 120, 32)[:, None] + torch.linspace(0, 30, 32)
    optimizer = torch.optim.AdamW(module.parameters(), 2e-3)
    losses = []
    for step in range(70):
        pictures = (slope + 100 * torch.rand(16, 1, 1, 1, 1)).expand(16, 1, 3, 32, 32)
        loss = module({"appearance": pictures}, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) / 10 < 0.7 * math.log(8)
