"""Opinions that are fitted in closed form, and the moving mean that they share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional


def around(x: Tensor, reach: int) -> Tensor:
    """Return the mean (N, L, C) of the steps up to `reach` from each of x (N, L, C)."""
    pooled = functional.avg_pool1d(
        x.transpose(1, 2), 2 * reach + 1, 1, reach, count_include_pad=False
    )
    return pooled.transpose(1, 2)


class ClosedFormOpinion(nn.Module):
    """An opinion that learns from one description a clip, without gradients.

    Its own numbers are no parameters: `fit` finds them, and gradients of other parts leave them
    alone. An opinion that holds layers of a published network has a method `borrow` besides.
    """

    # what it reads (N, L, ...), the mask (N, L) -> numbers (N, L, F) on each step
    describe: Callable[..., Tensor]

    def prepare(self, clips: Iterable[tuple[Tensor, ...]]) -> None:
        """See what the training clips hold, before they are described.

        clips: what the opinion reads of each, (1, L, ...).
        """

    @abstractmethod
    def fit(self, found: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Learn from clips: their numbers (N, F), labels (N,), 1 fake, and weights (N,) >= 0."""


class Discriminant(ClosedFormOpinion):
    """A linear discriminant (Fisher 1936) that tells forged from genuine numbers."""

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

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return step logits (N, L) of what it reads (N, L, ...) and of a mask (N, L)."""
        with torch.autocast(inputs[0].device.type, enabled=False):
            return self.logits(self.describe(*inputs))

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


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    return weight @ x / weight.sum()
