"""Crops forged while training: where and when they differ from the genuine ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.forge.picture.training_crops import face_region, forge_crops


@pytest.fixture(scope="module")
def depth() -> Tensor:
    """A face that fills the middle of the crop: (12, 1, 56, 56)."""
    rows, columns = torch.meshgrid(torch.arange(56), torch.arange(56), indexing="ij")
    face = ((rows - 28) ** 2 + (columns - 28) ** 2 < 18**2).float() * 0.1
    return face.expand(12, 1, 56, 56).half()


def crops(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 255, (12, 3, 112, 112), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("seed", range(20))
def test_the_steps_that_are_said_to_be_forged_are_those_that_differ(
    depth: Tensor, seed: int
) -> None:
    genuine = crops(0)
    forged, hit = forge_crops(genuine, depth, crops(1), np.random.default_rng(seed))
    assert forged.shape == genuine.shape
    assert forged.dtype == torch.uint8
    differs = (forged != genuine).flatten(1).any(dim=1)
    assert differs.tolist() == hit.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_what_lies_far_from_the_face_stays_as_it_is(depth: Tensor, seed: int) -> None:
    genuine = crops(0)
    forged, _ = forge_crops(genuine, depth, crops(1), np.random.default_rng(seed))
    border = torch.ones(112, 112, dtype=torch.bool)
    border[2:-2, 2:-2] = False
    assert torch.equal(forged[..., border], genuine[..., border])


def test_the_region_is_soft_and_lies_on_the_face(depth: Tensor) -> None:
    for seed in range(10):
        mask = face_region(depth, 112, np.random.default_rng(seed))
        assert mask.shape == (12, 1, 112, 112)
        assert 0 <= float(mask.min()) <= float(mask.max()) <= 1 + 1e-5
        assert float(mask[:, :, :4].max()) < 0.05


def test_the_same_generator_forges_the_same(depth: Tensor) -> None:
    first = forge_crops(crops(0), depth, crops(1), np.random.default_rng(3))
    second = forge_crops(crops(0), depth, crops(1), np.random.default_rng(3))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
