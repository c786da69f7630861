"""What several experts say in, one logit a step out: the plain rules that fusion must beat.

Opinions are step logits (B, L, K), NaN where an expert has nothing to judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class MeanOfExperts(nn.Module):
    """The mean of the experts that have something to judge; 0 where none has."""

    def __init__(self, places: Sequence[int] | None = None) -> None:
        """Take the experts in these places; None: all."""
        super().__init__()
        self.places = places

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of opinions (B, L, K)."""
        return _taken(streams["opinions"], self.places).nanmean(dim=-1).nan_to_num(0.0)


class MaximumOfExperts(nn.Module):
    """The most suspicious expert; 0 where none has anything to judge."""

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of opinions (B, L, K)."""
        given = streams["opinions"]
        worst = given.masked_fill(given.isnan(), -torch.inf).amax(dim=-1)
        return worst.masked_fill(worst.isinf(), 0.0)


class EnsembleOfExperts(nn.Module):
    """Each expert at a temperature of its own, weighed by shares that add up to one.

    Where experts have nothing to judge, the others take over their shares. Temperatures and shares
    are learned together.

    Source: Chang et al. 2024 (appearance, motion and geometry); the rule itself is not published.
    """

    def __init__(self, experts: int, places: Sequence[int] | None = None) -> None:
        """Weigh so many experts: those in these places; None: all that there are."""
        super().__init__()
        self.places = places
        self.sharpness = nn.Parameter(torch.zeros(experts))  # log of 1 / temperature
        self.shares = nn.Parameter(torch.zeros(experts))  # before the softmax
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of opinions (B, L, K)."""
        given = _taken(streams["opinions"], self.places)
        missing = given.isnan()
        shares = self.shares.softmax(dim=0) * ~missing
        shares = shares / shares.sum(dim=-1, keepdim=True).clamp(min=1e-9)
        scaled = given.masked_fill(missing, 0.0) * self.sharpness.exp()
        return (shares * scaled).sum(dim=-1) + self.bias


def _taken(opinions: Tensor, places: Sequence[int] | None) -> Tensor:
    return opinions if places is None else opinions[..., list(places)]
