"""The opinion on whether a face moves as steadily as faces do, by the flow expert's tokens.

How motion changes from one step to the next is evidence that the flow expert's own opinion, a mean
over time, does not hold.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from temporal.opinions.discriminant import Discriminant, around


class SteadinessOpinion(Discriminant):
    """A linear discriminant on how far the tokens change from step to step around a step."""

    def __init__(self, dim: int, reach: int) -> None:
        """Make one that says nothing yet.

        reach: steps to either side whose changes a step is judged by; fewer at an edge.
        """
        super().__init__(dim, shrinkage=1.0)
        self.reach = reach

    def describe(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return how far tokens (N, L, D) change, (N, L, D), of which those in mask count."""
        return changes(tokens.float(), mask, self.reach)


def changes(tokens: Tensor, mask: Tensor, reach: int) -> Tensor:
    """Return how far tokens (N, L, D) change from step to step, root mean square, around each.

    mask (N, L): a change counts between two steps that are in it; 0 where there is none.
    """
    there = (mask[:, 1:] & mask[:, :-1])[..., None].to(tokens.dtype)
    squares = (tokens[:, 1:] - tokens[:, :-1]).square() * there
    mean, share = (around(pad(x, (0, 0, 1, 0)), reach) for x in (squares, there))
    return (mean / share.clamp(min=1e-6)).sqrt()
