"""The interval that was forged, as one centre and length of a clip.

Source: Shao et al., DGM4, CVPR 2023, whose boxes of pixels are intervals of steps here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class IntervalHead(nn.Module):
    """A learned question to a clip's tokens, answered by the start and the end of an interval."""

    def __init__(self, dim: int, heads: int = 4) -> None:
        super().__init__()
        self.question = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.norm = nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.place = nn.Parameter(0.02 * torch.randn(2, dim))  # sine and cosine of a step's place
        self.answer = nn.Sequential(
            nn.Linear(dim, 2 * dim), nn.LayerNorm(2 * dim), nn.GELU(), nn.Linear(2 * dim, 2)
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return start and end (B, 2), shares of the clip, of tokens (B, L, D) and steps (B, L)."""
        along = torch.linspace(0, torch.pi, tokens.shape[1], device=tokens.device)
        places = torch.stack([along.sin(), along.cos()], dim=1) @ self.place
        keys = self.norm(tokens + places)
        question = self.question.expand(len(tokens), -1, -1)
        found, _ = self.attention(question, keys, keys, key_padding_mask=~mask, need_weights=False)
        return ends_of(self.answer(found[:, 0]).sigmoid())


def ends_of(intervals: Tensor) -> Tensor:
    """Return start and end (B, 2) inside [0, 1] of intervals by centre and length (B, 2)."""
    centre, half = intervals[:, 0], intervals[:, 1] / 2
    return torch.stack([centre - half, centre + half], dim=1).clamp(0, 1)


def hull_of(forged: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and last forged step as start and end (B, 2), and whether there is one (B,).

    In shares of the steps L.

    Args:
        forged: (B, L) bool.
        mask: (B, L) the steps that there are.
    """
    steps = torch.arange(forged.shape[1], device=forged.device)
    known = forged & mask
    first = torch.where(known, steps, forged.shape[1]).amin(dim=1)
    last = torch.where(known, steps, -1).amax(dim=1)
    return torch.stack([first, last + 1], dim=1) / forged.shape[1], known.any(dim=1)


def generalised_iou(one: Tensor, other: Tensor) -> Tensor:
    """Return the generalised overlap (B,) of intervals (B, 2), start and end; -1 to 1.

    Intersection over union, less the share of their hull that neither covers: for intervals apart
    it tells how far.

    Source: Rezatofighi et al., CVPR 2019, in one dimension.
    """
    shared = (torch.minimum(one, other)[:, 1] - torch.maximum(one, other)[:, 0]).clamp(min=0)
    union = (one[:, 1] - one[:, 0]) + (other[:, 1] - other[:, 0]) - shared
    hull = torch.maximum(one, other)[:, 1] - torch.minimum(one, other)[:, 0]
    least = torch.finfo(one.dtype).tiny
    return shared / union.clamp(min=least) - (hull - union) / hull.clamp(min=least)


def interval_loss(found: Tensor, truth: Tensor, given: Tensor) -> Tensor:
    """Return the L1 distance plus 1 - generalised overlap (), of those clips that have an interval.

    Args:
        found: (B, 2) start and end.
        truth: (B, 2).
        given: (B,) whether there is one; without any the loss is 0.
    """
    each = functional.l1_loss(found, truth, reduction="none").sum(dim=1)
    each = each + 1 - generalised_iou(found, truth)
    return (each * given).sum() / given.sum().clamp(min=1)
