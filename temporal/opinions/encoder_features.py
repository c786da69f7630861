"""The opinion on an encoder's features: whether they are distributed as those of a person are.

Self-supervised encoders of speech tell synthetic speech apart with little on top of them (Wang &
Yamagishi 2022), lip readers forged faces (Haliassos et al. 2021). The rule is linear in mean and
spread of the features over a few seconds.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temporal.opinions.discriminant import around
from temporal.opinions.paired import PairedRule


class EncoderFeaturesOpinion(PairedRule):
    """A linear rule on mean and spread of an encoder's features around a step."""

    def __init__(self, layers: int, width: int, reach: int) -> None:
        """Make an unfitted opinion on `layers` vectors of `width` numbers, whose logits are 0.

        reach: steps to either side whose features describe a step; fewer at an edge.
        """
        super().__init__(2 * layers * width)
        self.reach = reach

    def describe(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return mean and spread (N, L, 2 * F * D) of features (N, L, F, D) around each step."""
        x = features.float().flatten(2)
        valid = mask[..., None].to(x.dtype)
        share = around(valid, self.reach).clamp(min=1e-6)
        mean, square = (around(y * valid, self.reach) / share for y in (x, x.square()))
        return torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt()], dim=-1)
