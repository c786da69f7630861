"""The flow expert's tokens in, an opinion a step out: does a face move as steadily as faces do?

How motion changes from one step to the next is evidence that the flow expert's own opinion, a mean
over time, does not hold.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from temporal.opinions.discriminant import Discriminant, around
from temporal.opinions.speech import REACH


class SteadinessJudge(Discriminant):
    """A linear discriminant on how far the tokens change from step to step around a step."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, shrinkage=1.0)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return step logits (N, L) of tokens (N, L, D), of which those in mask (N, L) count."""
        with torch.autocast(tokens.device.type, enabled=False):
            return self.logits(changes(tokens.float(), mask))


def changes(tokens: Tensor, mask: Tensor) -> Tensor:
    """Return how far tokens (N, L, D) change from step to step, root mean square, around each.

    mask (N, L): a change counts between two steps that are in it; 0 where there is none.
    """
    there = (mask[:, 1:] & mask[:, :-1])[..., None].to(tokens.dtype)
    squares = (tokens[:, 1:] - tokens[:, :-1]).square() * there
    mean, share = (around(pad(x, (0, 0, 1, 0)), REACH) for x in (squares, there))
    return (mean / share.clamp(min=1e-6)).sqrt()
