"""The sound expert's tokens in, an opinion a step out: do they vary as those of a voice do?

What the expert says of each step by itself is a mean over time. How far its tokens spread from
step to step is evidence that such a mean does not hold.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from temporal.sharpness import around

REACH = 100  # steps to either side whose mean and spread a step is judged by; fewer at an edge


class Discriminant(nn.Module):
    """A linear discriminant (Fisher 1936) that tells forged from genuine numbers.

    Its own numbers are no parameters: `fit` finds them in closed form, and gradients of other
    parts leave them alone.
    """

    rule: Tensor  # (F,)
    bias: Tensor  # ()

    def __init__(self, size: int, shrinkage: float) -> None:
        """Make one that says nothing yet of `size` numbers.

        shrinkage: of the scatter towards equal variances, as a share of the mean one.
        """
        super().__init__()
        self.shrinkage = shrinkage
        self.register_buffer("rule", torch.zeros(size))
        self.register_buffer("bias", torch.zeros(()))

    def logits(self, found: Tensor) -> Tensor:
        """Return logits (...) of numbers (..., F)."""
        return found @ self.rule + self.bias

    def fit(self, found: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Learn from clips: their numbers (N, F), labels (N,), 1 fake, and weights (N,) >= 0.

        The scatter is that within the classes, of which how sources differ is a part: what tells
        sources apart counts less. Shrunk as by Ledoit & Wolf (2004), with a fixed share.
        """
        x, weight = found.double(), weights.double() / weights.double().sum()
        spread = x.std(dim=0).clamp(min=1e-6)
        x = x / spread
        genuine, fake = (_mean(x[labels == label], weight[labels == label]) for label in (0, 1))
        left = x - torch.where(labels[:, None] == 1, fake, genuine)
        scatter = left.T @ (left * weight[:, None])
        scatter += self.shrinkage * scatter.trace() / len(scatter) * torch.eye(len(x[0])).double()
        # where no clip differs from others of its class, as of one a class, nothing is learned
        rule = torch.linalg.pinv(scatter, hermitian=True) @ (fake - genuine)
        self.rule.copy_(rule / spread)
        self.bias.copy_(-rule @ (fake + genuine) / 2)


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


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    return weight @ x / weight.sum()
