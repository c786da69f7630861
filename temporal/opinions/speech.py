"""The opinion on whether the sound expert's tokens vary as those of a voice do.

What the expert says of each step by itself is a mean over time. How far its tokens spread from
step to step is evidence that such a mean does not hold.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temporal.opinions.discriminant import Discriminant, around


class SpeechOpinion(Discriminant):
    """A linear discriminant on the mean and spread of the tokens around a step."""

    def __init__(self, dim: int, reach: int) -> None:
        """Make one that says nothing yet.

        reach: steps to either side whose tokens a step is judged by; fewer at an edge.
        """
        super().__init__(2 * dim, shrinkage=0.3)
        self.reach = reach

    def describe(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return mean and spread (N, L, 2D) of tokens (N, L, D), of which those in mask count."""
        return variation(tokens.float(), mask, self.reach)


def variation(tokens: Tensor, mask: Tensor, reach: int) -> Tensor:
    """Return mean and spread (N, L, 2D) of tokens (N, L, D) around each step, by mask (N, L)."""
    there = mask[..., None].to(tokens.dtype)
    share = around(there, reach).clamp(min=1e-6)
    mean, square = (around(x * there, reach) / share for x in (tokens, tokens.square()))
    return torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt()], dim=-1)
