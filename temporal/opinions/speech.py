"""The sound expert's tokens in, an opinion a step out: do they vary as those of a voice do?

What the expert says of each step by itself is a mean over time. How far its tokens spread from
step to step is evidence that such a mean does not hold.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temporal.opinions.discriminant import Discriminant, around

REACH = 100  # steps to either side whose mean and spread a step is judged by; fewer at an edge


class SpeechJudge(Discriminant):
    """A linear discriminant on the mean and spread of the tokens around a step."""

    def __init__(self, dim: int) -> None:
        super().__init__(2 * dim, shrinkage=0.3)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return step logits (N, L) of tokens (N, L, D), of which those in mask (N, L) count."""
        with torch.autocast(tokens.device.type, enabled=False):
            return self.logits(variation(tokens.float(), mask))


def variation(tokens: Tensor, mask: Tensor) -> Tensor:
    """Return mean and spread (N, L, 2D) of tokens (N, L, D) around each step, by mask (N, L)."""
    there = mask[..., None].to(tokens.dtype)
    share = around(there, REACH).clamp(min=1e-6)
    mean, square = (around(x * there, REACH) / share for x in (tokens, tokens.square()))
    return torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt()], dim=-1)
