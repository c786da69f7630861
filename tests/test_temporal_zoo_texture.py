"""Networks on residuals: published sizes and what they cannot see."""

from __future__ import annotations

import math

import pytest
import torch

from temporal.zoo.residuals import high_pass_kernels
from temporal.zoo.texture import Npr, ResidualNetwork, residuals_of


def test_npr_with_64_planes_has_the_published_size() -> None:
    assert sum(p.numel() for p in Npr(planes=64).parameters()) == 1_437_761


def test_npr_cannot_tell_doubled_pictures_apart_on_their_own_grid_alone() -> None:
    part = Npr(stream="native").eval()
    small = torch.randint(0, 255, (1, 4, 3, 34, 34), dtype=torch.uint8)
    doubled = small.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)
    with torch.inference_mode():
        even = part({"native": doubled[..., :64, :64]})
        odd = part({"native": doubled[..., 1:65, 1:65]})
        any_phase = Npr(any_phase=True).eval()({"native": doubled[..., 1:65, 1:65]})
    assert float(even.max() - even.min()) == 0
    assert float(odd.max() - odd.min()) > 0
    assert float(any_phase.std()) < float(odd.std())


def test_a_network_on_residuals_cannot_see_how_bright_a_picture_is() -> None:
    part = ResidualNetwork().eval()
    crops = torch.randint(50, 100, (1, 3, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(
            part({"appearance": crops}), part({"appearance": crops + 60}), atol=1e-4, rtol=1e-4
        )


def test_each_residual_sees_what_it_is_for() -> None:
    from torchvision.io import decode_jpeg, encode_jpeg

    noisy = torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8)
    saved = decode_jpeg(encode_jpeg(noisy, 80))
    levels = residuals_of("error_level", torch.stack([noisy, saved]), high_pass_kernels())
    assert float(levels[0].mean()) > 3 * float(levels[1].mean())
    flat = residuals_of(
        "block_dct", torch.full((1, 3, 16, 16), 20, dtype=torch.uint8), high_pass_kernels()
    )
    assert flat.shape == (1, 64, 2, 2)
    assert float(flat[0, 0, 0, 0]) == pytest.approx(math.log1p(8 * 20) / 8)
    assert float(flat[:, 1:].abs().max()) < 1e-3
    with pytest.raises(ValueError, match="got 'smell'"):
        ResidualNetwork("smell")


def test_judging_a_few_pictures_at_once_changes_nothing() -> None:
    part = ResidualNetwork().eval()
    crops = torch.randint(0, 255, (2, 50, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        whole = part({"appearance": crops})
        alone = torch.cat([part({"appearance": crops[:, i : i + 1]}) for i in range(50)], dim=1)
    torch.testing.assert_close(whole, alone, atol=1e-5, rtol=1e-5)
