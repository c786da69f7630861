"""Late-fusion baselines: plain rules on the experts' logits, which learned fusion must beat.

Opinions are step logits (B, L, K), NaN where an expert has no input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class MeanOfExperts(nn.Module):
    """The mean logit of the experts that have an input; 0 where none has."""

    def __init__(self, places: Sequence[int] | None = None) -> None:
        """Use the experts at these indices of K; None: all."""
        super().__init__()
        self.places = places

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of opinions (B, L, K)."""
        return _taken(streams["opinions"], self.places).nanmean(dim=-1).nan_to_num(0.0)


class MaximumOfExperts(nn.Module):
    """The highest logit of all experts; 0 where none has an input."""

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of opinions (B, L, K)."""
        opinions = streams["opinions"]
        worst = opinions.masked_fill(opinions.isnan(), -torch.inf).amax(dim=-1)
        return worst.masked_fill(worst.isinf(), 0.0)


class EnsembleOfExperts(nn.Module):
    """The weighted mean of the experts' logits, each scaled by a temperature of its own.

    The weights sum to one; where experts have no input, the others take over their weights.
    Temperatures and weights are learned together.

    Source: Chang et al. 2024 (appearance, motion and geometry); the rule itself is not published.
    """

    def __init__(self, experts: int, places: Sequence[int] | None = None) -> None:
        """Weigh `experts` experts: those at these indices of K; None: all."""
        super().__init__()
        self.places = places
        self.sharpness = nn.Parameter(torch.zeros(experts))  # log of 1 / temperature
        self.shares = nn.Parameter(torch.zeros(experts))  # before the softmax
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of opinions (B, L, K)."""
        opinions = _taken(streams["opinions"], self.places)
        missing = opinions.isnan()
        shares = self.shares.softmax(dim=0) * ~missing
        shares = shares / shares.sum(dim=-1, keepdim=True).clamp(min=1e-9)
        scaled = opinions.masked_fill(missing, 0.0) * self.sharpness.exp()
        return (shares * scaled).sum(dim=-1) + self.bias


def _taken(opinions: Tensor, places: Sequence[int] | None) -> Tensor:
    return opinions if places is None else opinions[..., list(places)]
