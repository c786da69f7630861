"""Rich against poor texture: patches whose diversity is known."""

from __future__ import annotations

import pytest
import torch

from temporal.zoo.patchcraft import PatchCraft, diversity, mosaic, rich_and_poor


def test_the_diversity_of_flat_and_of_stepped_patches_is_known() -> None:
    assert float(diversity(torch.full((32, 32), 7.0))) == 0
    step = torch.zeros(32, 32)
    step[:, 16:] = 3.0
    assert float(diversity(step)) == 94 * 3.0


def test_the_richest_patch_comes_first_in_one_mosaic_and_the_poorest_in_the_other() -> None:
    levels = torch.tensor([5.0, 1.0, 9.0, 3.0] + [4.0] * 8)
    patches = torch.zeros(1, 12, 3, 32, 32)
    patches[0, :, :, :, 16:] = levels[:, None, None, None]
    rich, poor = rich_and_poor(patches)
    assert rich.shape == (1, 3, 64, 64)
    assert [float(rich[0, 0, 0, x]) for x in (31, 63)] == [9.0, 5.0]
    assert [float(poor[0, 0, 0, x]) for x in (31, 63)] == [1.0, 3.0]


def test_a_mosaic_is_laid_row_by_row() -> None:
    tiles = torch.arange(4.0).reshape(1, 4, 1, 1, 1).expand(1, 4, 1, 2, 2)
    assert mosaic(tiles)[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]


def test_where_rich_and_poor_are_alike_the_logit_rests_on_nothing_seen() -> None:
    part = PatchCraft(patches=12, frames=4).eval()
    one, other = 255 * torch.rand(2, 1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(part.contrast_logits(one, one), part.contrast_logits(other, other))
        assert not torch.equal(part.contrast_logits(one, other), part.contrast_logits(one, one))


def test_frames_of_a_group_share_a_logit_and_patches_must_fill_squares() -> None:
    part = PatchCraft(patches=12, frames=4).eval()
    crops = torch.randint(0, 255, (1, 6, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        logits = part({"appearance": crops})[0]
    assert len(set(logits[:4].tolist())) == 1
    assert len(set(logits[4:].tolist())) == 1
    with pytest.raises(ValueError, match="got 50 patches"):
        PatchCraft(patches=50)


def test_equally_rich_patches_may_change_places_and_their_inner_responses_keep_their_mean() -> None:
    part = PatchCraft(patches=12, frames=4).eval()
    tiles = 255 * torch.rand(1, 4, 3, 32, 32)
    inner = torch.zeros(32, 32, dtype=torch.bool)
    inner[3:-3, 3:-3] = True  # what no filter sees the neighbouring patch from
    with torch.inference_mode():
        means = [
            part._print(mosaic(tiles[:, order]))[..., inner.repeat(2, 2)].mean(dim=-1)
            for order in ([0, 1, 2, 3], [2, 0, 3, 1])
        ]
    torch.testing.assert_close(means[0], means[1], atol=1e-4, rtol=1e-4)


def test_the_published_network_reads_192_patches_of_eight_frames() -> None:
    part = PatchCraft(patches=192, width=32, stream="native").eval()
    convolutions = 30 * 32 * 9 + 32 + 10 * (32 * 32 * 9 + 32)
    assert sum(p.numel() for p in part.parameters()) == convolutions + 11 * 64 + 33 == 101_889
    crops = torch.randint(0, 255, (1, 8, 3, 160, 160), dtype=torch.uint8)
    patches = part._patches(crops)
    assert patches.shape == (1, 192, 3, 32, 32)
    assert [tuple(m.shape[1:]) for m in rich_and_poor(patches.float())] == [(3, 256, 256)] * 2


def test_the_quantiles_of_the_diversity_of_steps_are_those_of_their_heights() -> None:
    part = PatchCraft(patches=12, frames=1).eval()
    crops = torch.zeros(1, 3, 3, 32, 32)
    for frame, height in enumerate((1.0, 2.0, 7.0)):
        crops[:, frame, :, :, 16:] = height
    measured = part.describe({"appearance": crops})
    assert list(measured.values()) == pytest.approx([94.0, 188.0, 658.0])
    assert list(measured)[1] == "texture diversity, 50 % quantile"


def test_in_training_patches_are_drawn_anew_and_come_from_pictures_of_any_size() -> None:
    part = PatchCraft(patches=12, frames=2, width=4, degrade=1.0).train()
    crops = torch.randint(0, 255, (3, 2, 3, 96, 96), dtype=torch.uint8)
    first, second = part._patches(crops.float()), part._patches(crops.float())
    assert first.shape == (3, 12, 3, 32, 32)
    assert not torch.equal(first, second)
    part({"appearance": crops}).sum().backward()
    assert float(part.judge.weight.grad.abs().sum()) > 0
