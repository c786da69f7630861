"""Which patches are hidden from an encoder: masks of bool, True where a patch is hidden.

Every mask is a function of uniform random numbers, so that a seed gives the same one on any device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def uniform(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Tensor:
    """Return random numbers in [0, 1) of a CPU's generator, on a device."""
    return torch.rand(*shape, generator=generator).to(device)


def highest(scores: Tensor, count: int) -> Tensor:
    """Return the mask (N, P) of the `count` highest scores (N, P) of each row."""
    chosen = scores.topk(count, dim=1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(1, chosen, True)


def places(mask: Tensor, count: int) -> Tensor:
    """Return where masks (N, P) with `count` true entries a row have them, (N, count) ascending."""
    return (~mask).int().argsort(dim=1, stable=True)[:, :count]


def patch_regions(labels: Tensor, patch: int, regions: int) -> Tensor:
    """Return the share (N, G, P) of each patch that each region covers, of label maps (N, S, S)."""
    spread = functional.one_hot(labels.long(), regions).permute(0, 3, 1, 2).float()
    return functional.avg_pool2d(spread, patch).flatten(2)


def region_mask(
    shares: Tensor, chosen_from: Sequence[int], noise: Tensor, hidden: int
) -> tuple[Tensor, Tensor]:
    """Return the mask (N, P) of `hidden` patches, and those of them (N, P) in the chosen region.

    One region is hidden wholly and the rest in proportion (CRFR-P of FSFM, Wang et al. 2025): all
    patches that touch it, and of every other region as large a share as of the next, to within a
    patch. Where the region alone has too many patches, some at random are shown.

    Args:
        shares: (N, G, P) of `patch_regions`.
        chosen_from: the regions of G of which one is drawn, if the picture has any of them.
        noise: (N, G + P) uniform random numbers: for the draw of the region, and of the patches.
        hidden: how many patches are hidden.
    """
    count = shares.shape[1]
    touched, main = shares > 0, shares.argmax(dim=1)  # (N, G, P), (N, P)
    of_region, of_patch = noise[:, :count], noise[:, count:]
    eligible = torch.zeros(count, dtype=torch.bool, device=shares.device)
    eligible[list(chosen_from)] = True
    there = touched.any(dim=2) & eligible
    region = (of_region + 1).where(there, of_region.new_zeros(())).argmax(dim=1)
    core = touched[torch.arange(len(region), device=region.device), region]
    core = core & there.any(dim=1, keepdim=True)
    # A patch's rank among the free ones of its region, as a share of them: the lowest shares of
    # all regions together are the same share of each.
    same = (main[:, :, None] == main[:, None]) & ~core[:, None]  # (N, P, P): free patches beside
    rank = (same & (of_patch[:, None] < of_patch[:, :, None])).sum(dim=2)
    quantile = (rank + 0.5) / same.sum(dim=2).clamp(min=1)  # (N, P) in (0, 1) of the free ones
    ties = 1e-4 * of_patch
    mask = highest(torch.where(core, 2 + of_patch, 1 - quantile + ties), hidden)
    return mask, mask & core


def tube_mask(noise: Tensor, steps: int, hidden: int) -> Tensor:
    """Return a mask (N, T, P) that hides the same `hidden` patches in all T steps.

    Without tubes a hidden patch could be copied from its neighbour in time (VideoMAE, Tong et al.
    2022).

    Args:
        noise: (N, P) uniform random numbers.
        steps: T.
        hidden: how many of the P patches are hidden.
    """
    return highest(noise, hidden)[:, None].expand(-1, steps, -1)


def running_cells(hidden: Tensor, noise: Tensor) -> Tensor:
    """Return which hidden patches (N, T, P) are to be reconstructed: half of all T · P.

    The decoder's mask of VideoMAE V2 (Wang et al. 2023): in cells of two by two patches the half
    that counts runs on from step to step. What of it the encoder has seen is made up for by other
    hidden patches, so that targets are always hidden and their number is known.

    Args:
        hidden: (N, T, P) of a square grid of P patches; at least half of them in all.
        noise: (N, T, P) uniform random numbers.
    """
    _, steps, patches = hidden.shape
    side = round(patches**0.5)
    place = torch.arange(patches, device=hidden.device)
    row, column = place // side, place % side
    corner = 2 * (row % 2) + (row + column) % 2  # 0, 1, 2, 3 clockwise
    time = torch.arange(steps, device=hidden.device)
    running = (corner + time[:, None]) % 4 < 2  # (T, P)
    scores = 2 * hidden + running + noise * 0.5
    return highest(scores.flatten(1), steps * patches // 2).view_as(hidden)
