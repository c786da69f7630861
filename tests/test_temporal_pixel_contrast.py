"""Contrast of cells: its closed forms, and what is remembered of earlier ones."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from temporal.pixel_contrast import PixelContrast, supervised_contrast

NOTHING = [torch.zeros(0, 4)] * 2
TEMPERATURE = 0.5


def alike(count: int, axis: int) -> torch.Tensor:
    return torch.eye(4)[[axis] * count]


def test_where_all_cells_look_alike_each_of_the_others_has_an_equal_share() -> None:
    loss = supervised_contrast([alike(3, 0), alike(4, 0)], NOTHING, TEMPERATURE)
    assert float(loss) == pytest.approx(math.log(6))


def test_two_kinds_at_right_angles_have_the_loss_of_their_shares() -> None:
    n, hot = 5, math.exp(1 / TEMPERATURE)
    loss = supervised_contrast([alike(n, 0), alike(n, 1)], NOTHING, TEMPERATURE)
    assert float(loss) == pytest.approx(math.log((n - 1) * hot + n) - 1 / TEMPERATURE)
    mixed = [torch.cat([alike(3, 0), alike(2, 1)]), torch.cat([alike(2, 0), alike(3, 1)])]
    assert float(supervised_contrast(mixed, NOTHING, TEMPERATURE)) > float(loss)


def test_cells_that_are_remembered_are_compared_with_and_ask_nothing() -> None:
    hot = math.exp(1 / TEMPERATURE)
    loss = supervised_contrast([alike(1, 0), alike(0, 0)], [alike(2, 0), alike(3, 1)], TEMPERATURE)
    assert float(loss) == pytest.approx(math.log(2 * hot + 3) - 1 / TEMPERATURE)
    alone = supervised_contrast([alike(1, 0), alike(1, 1)], NOTHING, TEMPERATURE)
    assert float(alone) == 0.0  # neither has another of its kind


def test_the_memory_keeps_the_newest_cells_of_each_kind() -> None:
    contrast = PixelContrast(4, dim=4, most=8, memory=6)
    contrast.project = torch.nn.Identity()
    for axis in (0, 1, 2):
        features = torch.eye(4)[axis][None, :, None, None].expand(1, 4, 2, 2)
        contrast(features, torch.tensor([[[True, True], [True, False]]]))
    assert contrast.kept.tolist() == [3, 6]
    assert contrast.memory[0, :3].argmax(dim=1).tolist() == [2, 1, 0]
    assert contrast.memory[1].argmax(dim=1).tolist() == [2, 2, 2, 1, 1, 1]


def test_training_by_contrast_parts_the_kinds() -> None:
    contrast = PixelContrast(3, dim=8, most=16, memory=8)
    features, forged = torch.randn(1, 3, 4, 4), torch.rand(1, 4, 4) < 0.5
    features[:, 0] += 3 * forged
    optimizer = torch.optim.Adam(contrast.parameters(), lr=0.02)
    losses = []
    for _ in range(40):
        loss = contrast(features, forged)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[1] - 0.5
    vectors = functional.normalize(contrast.project(features.permute(0, 2, 3, 1)[0].flatten(0, 1)))
    cosines = vectors @ vectors.T
    same = forged.flatten()[:, None] == forged.flatten()
    assert float(cosines[same].mean()) > float(cosines[~same].mean()) + 0.5
