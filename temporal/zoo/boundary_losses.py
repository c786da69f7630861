"""What boundaries and maps of intervals are to be, and losses that balance the few and the many.

Source: Lin et al., BMN, ICCV 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

REACH = 0.1  # of a segment's length, to both sides of its boundaries
ALIKE, APART = 0.7, 0.3  # overlaps from which on an interval is like a segment, and up to which not


@dataclass(frozen=True, eq=False)
class Targets:
    """The truth of a batch of sequences of T steps."""

    start: Tensor  # (B, T) share of the step that is near a start
    end: Tensor  # (B, T)
    overlap: Tensor  # (B, T, T) best overlap of the interval by start and last step; 0 below


def targets_of_runs(forged: Tensor, steps: int) -> Targets:
    """Return the targets of runs of forged steps (B, L), bool, in a sequence of `steps`."""
    start, end = (torch.zeros(len(forged), steps, device=forged.device) for _ in range(2))
    overlap = torch.zeros(len(forged), steps, steps, device=forged.device)
    for clip, row in enumerate(forged):
        edges = functional.pad(row.int(), (1, 1)).diff()
        runs = torch.stack([torch.nonzero(edges == sign)[:, 0] for sign in (1, -1)], dim=1)
        if len(runs):
            segments = runs.to(overlap.dtype) * steps / len(row)  # (S, 2)
            start[clip], end[clip] = (_near(segments, side, steps) for side in (0, 1))
            overlap[clip] = _overlaps(segments, steps)
    return Targets(start, end, overlap)


def _near(segments: Tensor, side: int, steps: int) -> Tensor:
    """Return the share (T,) of each step that lies near a boundary of segments (S, 2)."""
    reach = (segments[:, 1] - segments[:, 0]).mul(REACH).clamp(min=0.5)  # a step at least in all
    low, high = segments[:, side] - reach, segments[:, side] + reach
    first = torch.arange(steps, device=segments.device)
    shared = torch.minimum(first + 1, high[:, None]) - torch.maximum(first, low[:, None])
    return shared.clamp(min=0).amax(dim=0)


def _overlaps(segments: Tensor, steps: int) -> Tensor:
    """Return each interval's best overlap (T, T) with segments (S, 2), 0 below the diagonal."""
    first = torch.arange(steps, device=segments.device, dtype=segments.dtype)
    start, end = first[None, :, None], first[None, None, :] + 1
    low, high = segments[:, 0, None, None], segments[:, 1, None, None]
    shared = (torch.minimum(end, high) - torch.maximum(start, low)).clamp(min=0)
    union = (end - start) + (high - low) - shared
    return (shared / union).amax(dim=0).triu()


def balanced_entropy(logits: Tensor, positive: Tensor, valid: Tensor) -> Tensor:
    """Return the cross-entropy () in which positives and negatives count half each.

    Where there is only one kind, it has half of the weight and the other none.

    Args:
        logits: of any shape.
        positive: bool, of the same.
        valid: bool; others do not count.
    """
    each = functional.binary_cross_entropy_with_logits(
        logits, positive.to(logits.dtype), reduction="none"
    )
    halves = [
        (each * kind).sum() / kind.sum().clamp(min=1) / 2
        for kind in (positive & valid, ~positive & valid)
    ]
    return halves[0] + halves[1]


def balanced_square(found: Tensor, overlap: Tensor, valid: Tensor) -> Tensor:
    """Return the squared error () of overlaps; the few good intervals count like the many bad ones.

    Of intervals of medium and of little overlap (up to 0.7, up to 0.3) as many are drawn as there
    are of large; without a large one the loss is 0.

    Args:
        found: (B, T, T) in [0, 1].
        overlap: (B, T, T) the truth.
        valid: (B, T, T) bool.
    """
    large = (overlap > ALIKE) & valid
    medium = (overlap > APART) & ~large & valid
    little = (overlap <= APART) & valid
    count = large.sum()
    taken = large | _drawn(medium, count) | _drawn(little, count)
    return ((found - overlap).square() * taken).sum() / taken.sum().clamp(min=1)


def _drawn(members: Tensor, count: Tensor) -> Tensor:
    """Return which of the members are drawn: on average `count` of them."""
    odds = count / members.sum().clamp(min=1)
    return members & (torch.rand(members.shape, device=members.device) < odds)
