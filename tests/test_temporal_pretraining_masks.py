"""Masks: exact counts, whole regions, tubes and running cells."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from temporal.pretraining.masks import (
    patch_regions,
    places,
    region_mask,
    running_cells,
    tube_mask,
    uniform,
)

P, GROUPS = 196, 7


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return uniform(shape, torch.Generator().manual_seed(seed), torch.device("cpu"))


def label_maps(count: int) -> Tensor:
    """Maps of 112 pixels: background, a skin square in it, and five features at random places."""
    maps = torch.zeros(count, 112, 112, dtype=torch.uint8)
    maps[:, 12:100, 12:100] = 1
    corners = (12 + drawn(count, 5, 2) * 60).long()
    for one, own in zip(maps, corners, strict=True):
        for label, (y, x) in enumerate(own.tolist(), 2):
            one[y : y + 8 * (label - 1), x : x + 20] = label
    return maps


def test_a_patch_belongs_to_the_regions_that_touch_it_by_what_they_cover() -> None:
    labels = torch.zeros(1, 16, 16)
    labels[0, :8, :6], labels[0, 15, 15] = 3, 2
    shares = patch_regions(labels, 8, 4)[0]
    assert shares[3].tolist() == [0.75, 0, 0, 0]
    assert shares[2].tolist() == [0, 0, 0, 1 / 64]
    assert shares.sum(dim=0).tolist() == [1, 1, 1, 1]


def test_exactly_three_quarters_are_hidden_and_the_drawn_region_wholly() -> None:
    shares = patch_regions(label_maps(64), 8, GROUPS)
    mask, core = region_mask(shares, range(2, GROUPS), drawn(64, GROUPS + P), 147)
    assert (mask.sum(dim=1) == 147).all()
    touched = shares > 0
    whole = (touched & mask[:, None] == touched).all(dim=2)  # regions without a visible patch
    own = (core[:, None] == touched).all(dim=2)  # the region that was drawn
    assert (whole & own)[:, 2:].any(dim=1).all()
    chosen = own[:, 2:].float().argmax(dim=1)
    assert set(chosen.tolist()) == {0, 1, 2, 3, 4}


def test_the_rest_is_hidden_in_proportion() -> None:
    shares = patch_regions(label_maps(64), 8, GROUPS)
    mask, core = region_mask(shares, range(2, GROUPS), drawn(64, GROUPS + P), 147)
    main = shares.argmax(dim=1)
    for one, hidden, own in zip(main, mask, core, strict=True):
        free = ~own
        share = (hidden & free).sum() / free.sum()
        for group in one[free].unique():
            members = free & (one == group)
            # thresholds of groups are common to within a patch of each
            slack = 0.5 + float(members.sum() * GROUPS / 2 / free.sum())
            assert abs(float((hidden & members).sum() - share * members.sum())) <= slack + 1e-3


def test_of_a_region_larger_than_the_budget_some_patches_are_shown() -> None:
    labels = torch.full((200, 112, 112), 2)
    labels[:, :8] = 0
    mask, core = region_mask(patch_regions(labels, 8, 3), (2,), drawn(200, 3 + P), 147)
    assert (core.sum(dim=1) == 147).all()
    assert not mask[:, :14].any()
    shown = (~mask[:, 14:]).float().mean(dim=0)  # 35 of 182, at random
    assert shown.mean() == pytest.approx(35 / 182)
    assert shown.min() > 0.05
    assert shown.max() < 0.4


def test_a_picture_without_any_region_is_hidden_at_random() -> None:
    mask, core = region_mask(
        patch_regions(torch.zeros(8, 112, 112), 8, GROUPS), (2, 3), drawn(8, GROUPS + P), 147
    )
    assert (mask.sum(dim=1) == 147).all()
    assert not core.any()
    assert len({tuple(row) for row in mask.tolist()}) == 8


def test_a_tube_hides_the_same_patches_in_every_step() -> None:
    mask = tube_mask(drawn(5, 64), 8, 58)
    assert (mask.sum(dim=2) == 58).all()
    assert (mask == mask[:, :1]).all()
    assert not torch.equal(mask[0], mask[1])


def test_half_of_all_patches_are_targets_and_all_of_them_hidden() -> None:
    mask = tube_mask(drawn(5, 64), 8, 58)
    targets = running_cells(mask, drawn(5, 8, 64, seed=1))
    assert (targets.flatten(1).sum(dim=1) == 8 * 64 // 2).all()
    assert not (targets & ~mask).any()


def test_cells_run_on_so_that_every_place_is_a_target_in_two_of_four_steps() -> None:
    everything = torch.ones(1, 4, 16, dtype=torch.bool)
    targets = running_cells(everything, drawn(1, 4, 16))[0].view(4, 4, 4)
    assert targets[0].tolist() == [[True, True] * 2, [False, False] * 2] * 2
    assert (targets.sum(dim=0) == 2).all()
    assert (targets.unfold(1, 2, 2).unfold(2, 2, 2).sum(dim=(3, 4)) == 2).all()  # of each cell


def test_places_are_those_of_a_mask_in_order() -> None:
    mask = torch.tensor([[True, False, True, False], [False, False, True, True]])
    assert places(mask, 2).tolist() == [[0, 2], [2, 3]]
