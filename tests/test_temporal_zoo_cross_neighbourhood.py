"""Gated attention among neighbours, the selection of residuals, and tampered captions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from temporal.zoo.cross_neighbourhood import (
    GatedFusion,
    StreamSelector,
    TamperedText,
    neighbourhood_attention,
)
from temporal.zoo.residuals import high_pass_kernels
from temporal.zoo.texture import residuals_of


def test_without_preferences_a_cell_gets_the_mean_of_its_neighbours_in_the_picture() -> None:
    value, nothing = torch.randn(2, 3, 7, 9), torch.zeros(2, 4, 7, 9)
    found = neighbourhood_attention(nothing, nothing, value)
    expected = functional.avg_pool2d(value, 5, 1, 2, count_include_pad=False)
    torch.testing.assert_close(found, expected)


def test_a_cell_that_prefers_one_neighbour_gets_its_value_and_sees_no_further() -> None:
    query, key, value = torch.ones(1, 1, 9, 9), torch.zeros(1, 1, 9, 9), torch.zeros(1, 2, 9, 9)
    key[0, 0, 4, 4], value[0, :, 4, 4] = 50.0, torch.tensor([3.0, -7.0])
    found = neighbourhood_attention(query, key, value)[0]
    near = torch.zeros(9, 9, dtype=torch.bool)
    near[2:7, 2:7] = True
    torch.testing.assert_close(found[:, near], torch.tensor([[3.0], [-7.0]]).expand(-1, 25))
    assert float(found[:, ~near].abs().max()) == 0.0


def test_a_shut_gate_lets_nothing_of_the_other_stream_through() -> None:
    fusion = GatedFusion(4)
    seen, other = torch.randn(2, 1, 4, 6, 6)
    assert not torch.allclose(fusion(seen, other), seen, atol=1e-3)
    with torch.no_grad():
        fusion.gate.weight.zero_()
        fusion.gate.bias.fill_(-200.0)
    assert torch.equal(fusion(seen, other), seen)


def test_shares_of_streams_add_to_one_and_follow_the_streams() -> None:
    selector = StreamSelector(4)
    one, two, three = torch.randn(3, 2, 4, 5, 5)
    joined, shares = selector([one, two, three])
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(2))
    again, turned = selector([three, one, two])
    torch.testing.assert_close(again, joined)
    torch.testing.assert_close(turned, shares[:, [2, 0, 1]])
    torch.testing.assert_close(selector([one, one, one])[0], one)


def test_the_part_learns_a_caption_with_noise_of_its_own() -> None:
    torch.manual_seed(0)
    part = TamperedText(width=6)
    optimizer = torch.optim.Adam(part.parameters(), lr=0.01)

    def drawn(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        smooth = functional.interpolate(255 * torch.rand(count, 3, 6, 6), (64, 64), mode="bilinear")
        pictures, forged = smooth + 2 * torch.randn(count, 3, 64, 64), torch.zeros(count, 8, 8)
        for picture, cells in zip(pictures, forged, strict=True):
            row = int(torch.randint(0, 6, ()))
            cells[row : row + 2, 1:7] = 1
            strip = picture[:, 8 * row : 8 * row + 16, 8:56]
            strip += 10 * torch.randn(strip.shape)
        return pictures.round().clamp(0, 255).byte(), forged

    for _ in range(25):
        pictures, forged = drawn(8)
        loss = functional.binary_cross_entropy_with_logits(part.cells(pictures)[0], forged)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pictures, forged = drawn(16)
    with torch.inference_mode():
        found = part.train().cells(pictures)[0] > 0
    inside = (found & (forged > 0)).sum() / (found | (forged > 0)).sum()
    assert float(inside) > 0.5
    told = part.eval().describe({"overlay": pictures[:2][None]})
    shares = [value for name, value in told.items() if name != "share of cells"]
    assert sum(shares) == pytest.approx(1.0)
    assert list(told) == [
        "share of high pass", "share of error level", "share of block dct", "share of cells",
    ]  # fmt: skip


def test_what_was_saved_as_a_jpeg_before_hardly_changes_again_and_a_paste_does() -> None:
    from torchvision.io import decode_jpeg, encode_jpeg

    smooth = functional.interpolate(255 * torch.rand(1, 3, 6, 6), (64, 64), mode="bilinear")[0]
    saved = decode_jpeg(encode_jpeg(smooth.byte(), 80))
    pasted = saved.clone()
    pasted[:, 16:32, 16:48] = torch.randint(0, 255, (3, 16, 32), dtype=torch.uint8)
    level = residuals_of("error_level", pasted[None], high_pass_kernels())[0].mean(dim=0) * 32
    outside = torch.ones(64, 64, dtype=torch.bool)
    outside[8:40, 8:56] = False
    assert float((level[outside] <= 1).float().mean()) > 0.8
    assert float(level[16:32, 16:48].mean()) > 5 * float(level[outside].mean())
