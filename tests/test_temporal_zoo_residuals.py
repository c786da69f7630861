"""Fixed filters: their closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import torch

from temporal.zoo.residuals import (
    block_dct,
    error_level,
    high_pass,
    high_pass_kernels,
    npr,
    npr_least,
)


def enlarged(side: int) -> torch.Tensor:
    small = torch.randn(1, 3, side // 2, side // 2)
    return small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def test_white_noise_keeps_three_halves_of_its_variance() -> None:
    noise = 2.0 * torch.randn(4, 3, 256, 256)
    assert float(npr(noise).square().mean()) == pytest.approx(1.5 * 4, rel=0.02)


def test_a_correlated_field_keeps_what_its_correlation_says() -> None:
    rho, side = 0.9, 512
    field = np.random.default_rng(0).normal(size=(side, side))
    for _ in range(2):  # along columns, then along rows
        for i in range(1, side):
            field[:, i] = rho * field[:, i - 1] + np.sqrt(1 - rho**2) * field[:, i]
        field = field.T
    left = float(npr(torch.from_numpy(field)[None, None]).square().mean())
    expected = (4 * (1 - rho) + 2 * (1 - rho**2)) / 4
    assert expected == pytest.approx(0.195)
    assert left / field.var() == pytest.approx(expected, rel=0.08)


def test_a_doubled_picture_leaves_nothing_on_its_own_grid_alone() -> None:
    picture = enlarged(256)
    assert float(npr(picture).abs().max()) == 0
    one, both = picture[..., 1:], picture[..., 1:, 1:]
    assert float(npr(one).square().mean()) == pytest.approx(1.0, rel=0.05)
    assert float(npr(both).square().mean()) == pytest.approx(1.5, rel=0.05)
    assert float(npr(one, (0, 1))[..., 1:].abs().max()) == 0
    assert float(npr_least(torch.cat([picture, picture.roll(1, dims=3)])).abs()[..., 2:].max()) == 0


def test_the_first_pixel_of_a_block_is_zero_and_odd_sides_are_taken() -> None:
    left = npr(torch.randn(2, 3, 7, 9))
    assert left.shape == (2, 3, 7, 9)
    assert float(left[..., ::2, ::2].abs().max()) == 0


def test_thirty_different_kernels_each_add_up_to_zero() -> None:
    kernels = high_pass_kernels()
    assert kernels.shape == (30, 1, 5, 5)
    assert torch.equal(kernels.sum(dim=(1, 2, 3)), torch.zeros(30))
    assert len({tuple(k.flatten().tolist()) for k in kernels}) == 30


def test_high_pass_filters_see_no_flat_picture_and_answer_a_point_with_their_kernel() -> None:
    kernels = high_pass_kernels()
    assert float(high_pass(torch.full((1, 3, 16, 16), 77.0), kernels).abs().max()) < 1e-3
    point = torch.zeros(1, 3, 15, 15)
    point[..., 7, 7] = 1.0
    answer = high_pass(point, kernels)[0, :, 5:10, 5:10]
    torch.testing.assert_close(answer, kernels[:, 0].flip(1, 2))


def test_block_dct_agrees_with_scipy_and_keeps_energy() -> None:
    picture = torch.randn(1, 2, 16, 24)
    turned = block_dct(picture)
    assert float(turned.square().sum()) == pytest.approx(float(picture.square().sum()), rel=1e-5)
    block = scipy.fft.dctn(picture[0, 1, 8:16, 16:24].numpy(), norm="ortho")
    np.testing.assert_allclose(turned[0, 1, 8:16, 16:24].numpy(), block, atol=1e-5)
    assert float(block_dct(torch.full((1, 1, 8, 8), 3.0))[0, 0, 0, 0]) == pytest.approx(8 * 3.0)


def test_block_dct_refuses_sides_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="multiples of 8, got 12x16"):
        block_dct(torch.zeros(1, 1, 12, 16))


def test_error_level_is_small_for_what_was_a_jpeg_and_larger_for_what_was_pasted_in() -> None:
    from torchvision.io import decode_jpeg, encode_jpeg

    noisy = (128 + 30 * torch.randn(3, 64, 64)).clamp(0, 255).to(torch.uint8)
    saved = decode_jpeg(encode_jpeg(noisy, 80))
    again = error_level(saved[None])[0]
    assert float((again <= 1).float().mean()) > 0.5
    saved[:, 16:32, 16:32] = noisy[:, 16:32, 16:32]
    pasted = error_level(saved[None])[0]
    inside, outside = pasted[:, 16:32, 16:32].mean(), pasted[:, 40:, 40:].mean()
    assert float(inside) > 2 * float(outside)
