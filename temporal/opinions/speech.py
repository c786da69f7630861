"""The opinion on whether the sound expert's tokens vary as those of a voice do.

The expert's own opinion on a file is a mean over time; the variation of its tokens from step to
step is evidence that a mean loses.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temporal.opinions.discriminant import Discriminant, around


class SpeechOpinion(Discriminant):
    """A linear discriminant on mean and standard deviation of the tokens around a step."""

    def __init__(self, dim: int, reach: int) -> None:
        """Make an unfitted opinion, whose logits are 0.

        reach: steps to either side whose tokens describe a step; fewer at an edge.
        """
        super().__init__(2 * dim, shrinkage=0.3)
        self.reach = reach

    def describe(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the `variation` (N, L, 2D) of tokens (N, L, D)."""
        return variation(tokens.float(), mask, self.reach)


def variation(tokens: Tensor, mask: Tensor, reach: int) -> Tensor:
    """Return mean and standard deviation (N, L, 2D) of tokens (N, L, D) around each step.

    mask: (N, L); only the tokens in it count.
    """
    valid = mask[..., None].to(tokens.dtype)
    share = around(valid, reach).clamp(min=1e-6)
    mean, square = (around(x * valid, reach) / share for x in (tokens, tokens.square()))
    return torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt()], dim=-1)
