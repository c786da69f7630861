"""Measurements of pixels, by pictures whose values are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from extractors.media import Clip
from pipelines.evidence.measurements import MEASURES, Measurements
from pipelines.evidence.picture_measures import noise_spread, npr_energy, texture_contrast


def correlated(rho: float, side: int = 512) -> Tensor:
    """A picture (1, 3, side, side) of spread 20 whose neighbours correlate by rho, each way."""
    field = torch.randn(side + 256, side + 256, dtype=torch.float64)
    for axis in (0, 1):
        field = field.movedim(axis, 0)
        rows = [field[0]]
        for row in field[1:]:
            rows.append(rho * rows[-1] + (1 - rho**2) ** 0.5 * row)
        field = torch.stack(rows).movedim(0, axis)
    return (128 + 20 * field[256:, 256:]).float().expand(1, 3, -1, -1)


def test_neighbours_of_white_noise_keep_one_and_a_half_of_its_variance() -> None:
    noise = 128 + 20 * torch.randn(2, 3, 400, 400)
    assert npr_energy(noise).tolist() == pytest.approx([1.5, 1.5], abs=0.02)


@pytest.mark.parametrize("rho", [0.5, 0.9])
def test_neighbours_of_a_correlated_field_keep_what_its_correlation_says(rho: float) -> None:
    expected = (4 * (1 - rho) + 2 * (1 - rho**2)) / 4
    assert float(npr_energy(correlated(rho))) == pytest.approx(expected, rel=0.06)


def test_a_picture_enlarged_by_repeating_pixels_keeps_nothing_on_any_grid() -> None:
    small = torch.randint(0, 255, (1, 3, 80, 80), dtype=torch.uint8)
    large = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert float(npr_energy(large)) == 0.0
    assert float(npr_energy(large[..., 1:, 1:])) < 0.05
    assert float(npr_energy(torch.full((1, 3, 64, 64), 9.0))) == 0.0


def test_texture_of_steps_contrasts_as_their_heights_do() -> None:
    picture = torch.zeros(1, 3, 320, 320)
    heights = torch.where(torch.arange(100) < 50, 8.0, 64.0).reshape(10, 10)
    for row in range(10):
        for column in range(10):
            patch = picture[..., 32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
            patch[..., 16:] = heights[row, column]
    rich, poor = (94 * height / 32**2 + 0.1 for height in (64.0, 8.0))
    assert float(texture_contrast(picture)) == pytest.approx(np.log2(rich / poor), abs=1e-4)


def test_a_half_that_is_twice_as_noisy_spreads_the_noise_by_an_octave() -> None:
    noise = 8 * torch.randn(4, 1, 320, 320).expand(-1, 3, -1, -1).clone()
    even = noise_spread(noise)
    noise[..., 160:] *= 2
    assert even.tolist() == pytest.approx([0.2] * 4, abs=0.1)  # quantiles of patches
    assert (noise_spread(noise) - even).tolist() == pytest.approx([1.0] * 4, abs=0.12)


def test_one_picture_a_second_is_measured_and_small_ones_are_not() -> None:
    frames = np.zeros((60, 162, 164, 3), np.uint8)
    frames[::25] = np.random.default_rng(0).integers(0, 255, (3, 162, 164, 3))
    taken = Measurements()
    for start in (0, 20, 40):  # whatever the chunks
        taken.chunk(Clip(start, frames[start : start + 20], None))
    found = taken.of_picture()
    assert set(found) == {"npr_energy", "texture_contrast", "noise_spread"} <= set(MEASURES)
    assert found["npr_energy"] == pytest.approx(1.5, abs=0.05)
    small = Measurements()
    small.chunk(Clip(0, frames[:, :100], None))
    assert small.of_picture() == {}
