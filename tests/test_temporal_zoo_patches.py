"""Random patches: where they come from, whose they are, and what training does to them."""

from __future__ import annotations

import pytest
import torch

from temporal.zoo.patches import degraded, random_patches


def places_of(patches: torch.Tensor) -> list[tuple[int, int, int]]:
    """Frame, row and column of each patch of a clip whose channels say where a pixel is."""
    return [tuple(int(v) for v in patch[:, 0, 0]) for patch in patches]


def located(clips: int, frames: int = 4, side: int = 60) -> torch.Tensor:
    """Clips (B, F, 3, side, side): the channels of a pixel are frame, row and column."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    one = torch.stack(
        [torch.stack([torch.full_like(rows, f), rows, columns]) for f in range(frames)]
    )
    return one.expand(clips, -1, -1, -1, -1).clone()


def test_patches_are_cut_whole_from_each_frame_in_turn() -> None:
    patches = random_patches(located(1), 24, anew=False)[0]
    found = places_of(patches)
    assert [frame for frame, _, _ in found] == [0, 1, 2, 3] * 6
    for patch, (_, row, column) in zip(patches, found, strict=True):
        assert patch[1, :, 0].tolist() == list(range(row, row + 32))
        assert patch[2, 0].tolist() == list(range(column, column + 32))


def test_a_clip_has_its_own_places_whatever_it_is_judged_with() -> None:
    group = located(3)
    group[1, 0, 0] += 1  # another clip
    together = random_patches(group, 12, anew=False)
    assert torch.equal(together[0], together[2])
    assert places_of(together[0]) != places_of(together[1])
    for place in range(3):
        assert torch.equal(random_patches(group[place : place + 1], 12, anew=False)[0],
                           together[place])  # fmt: skip
    assert torch.equal(random_patches(group.float(), 12, anew=False), together.float())


def test_in_training_places_are_drawn_anew_all_over_the_frame() -> None:
    first, second = (random_patches(located(1), 400, anew=True)[0] for _ in range(2))
    assert places_of(first) != places_of(second)
    rows = torch.tensor([row for _, row, _ in places_of(first)]).float()
    assert (int(rows.min()), int(rows.max())) == (0, 28)
    assert float(rows.mean()) == pytest.approx(14, abs=1.5)


def test_each_augmentation_happens_with_its_odds_and_none_without() -> None:
    frames = torch.randint(0, 255, (1, 3, 128, 128), dtype=torch.uint8)
    assert degraded(frames, 0.0) is frames
    sizes = [degraded(frames, 0.1).shape[-1] for _ in range(300)]
    smaller = [size for size in sizes if size != 128]
    assert len(smaller) == pytest.approx(30, abs=16)
    assert all(32 <= size <= 64 for size in smaller)
    assert degraded(frames[..., :64, :64], 1.0).shape[-1] == 32


def test_augmented_frames_keep_their_mean_and_lose_their_noise() -> None:
    frames = torch.randint(0, 255, (2, 3, 128, 128), dtype=torch.uint8)
    made = degraded(frames, 1.0)
    assert float(made.mean()) == pytest.approx(float(frames.float().mean()), abs=2.0)
    assert float(made.std()) < float(frames.float().std())
