"""The opinion on whether a face moves as steadily as faces do, by the flow expert's tokens.

How motion changes from one step to the next is evidence that the flow expert's own opinion, a mean
over time, loses.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from temporal.opinions.discriminant import Discriminant, around


class SteadinessOpinion(Discriminant):
    """A linear discriminant on the root mean square change of the tokens around a step."""

    def __init__(self, dim: int, reach: int) -> None:
        """Make an unfitted opinion, whose logits are 0.

        reach: steps to either side whose changes describe a step; fewer at an edge.
        """
        super().__init__(dim, shrinkage=1.0)
        self.reach = reach

    def describe(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the RMS change (N, L, D) around each step of the tokens (N, L, D) in the mask."""
        return changes(tokens.float(), mask, self.reach)


def changes(tokens: Tensor, mask: Tensor, reach: int) -> Tensor:
    """Return the root mean square change (N, L, D) of tokens (N, L, D) from step to step.

    mask: (N, L); a change counts if both of its steps are in it. 0 where no change counts.
    """
    valid = (mask[:, 1:] & mask[:, :-1])[..., None].to(tokens.dtype)
    squares = (tokens[:, 1:] - tokens[:, :-1]).square() * valid
    mean, share = (around(pad(x, (0, 0, 1, 0)), reach) for x in (squares, valid))
    return (mean / share.clamp(min=1e-6)).sqrt()
