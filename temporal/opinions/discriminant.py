"""The base of opinions that are fitted in closed form, Fisher's discriminant, and a moving mean."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional


def around(x: Tensor, reach: int) -> Tensor:
    """Return the moving mean (N, L, C) of x (N, L, C) over `reach` steps to either side.

    From running sums in double precision: as exact as sums of their own, and many times faster.
    """
    steps = torch.arange(x.shape[1], device=x.device)
    first, last = (steps - reach).clamp(min=0), (steps + reach + 1).clamp(max=len(steps))
    total = functional.pad(x.double().cumsum(dim=1), (0, 0, 1, 0))  # (N, L + 1, C)
    mean = (total[:, last] - total[:, first]) / (last - first)[:, None]
    return mean.to(x.dtype)


class ClosedFormOpinion(nn.Module):
    """An opinion that is fitted without gradients, to one feature vector per clip.

    Its weights are buffers, not parameters: `fit` sets them, and no optimizer changes them. An
    opinion that holds layers of a published network also has a method `borrow`.
    """

    # its inputs (N, L, ...) and the mask (N, L) -> features (N, L, F) of each step
    describe: Callable[..., Tensor]

    def prepare(self, clips: Iterable[tuple[Tensor, ...]]) -> None:
        """Gather statistics of the training clips that `describe` needs; by default none.

        clips: the opinion's inputs of each clip, (1, L, ...).
        """

    @abstractmethod
    def fit(self, found: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Fit to clips: features (N, F), labels (N,), 1 is fake, and weights (N,) >= 0."""


class LinearRule(ClosedFormOpinion):
    """An opinion whose logit is linear in the features that describe a step."""

    rule: Tensor  # (F,)
    bias: Tensor  # ()

    def __init__(self, size: int) -> None:
        """Make an unfitted rule on `size` features, whose logits are 0."""
        super().__init__()
        self.register_buffer("rule", torch.zeros(size))
        self.register_buffer("bias", torch.zeros(()))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return step logits (N, L) of the inputs (N, L, ...), the last of them a mask (N, L)."""
        with torch.autocast(inputs[0].device.type, enabled=False):
            return self.logits(self.describe(*inputs))

    def logits(self, found: Tensor) -> Tensor:
        """Return logits (...) of features (..., F)."""
        return found @ self.rule + self.bias


class Discriminant(LinearRule):
    """A linear discriminant (Fisher 1936) between fake and real clips."""

    def __init__(self, size: int, shrinkage: float) -> None:
        """Make an unfitted discriminant on `size` features, whose logits are 0.

        shrinkage: multiple of the mean variance that is added to every variance of the scatter.
        """
        super().__init__(size)
        self.shrinkage = shrinkage

    def fit(self, found: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Fit to clips: features (N, F), labels (N,), 1 is fake, and weights (N,) >= 0.

        The within-class scatter includes the differences between sources, so features that
        identify sources count less. Shrunk as in Ledoit & Wolf (2004), by a fixed amount.
        """
        x, weight = found.double(), weights.double() / weights.double().sum()
        spread = x.std(dim=0).clamp(min=1e-6)
        x = x / spread
        genuine, fake = (_mean(x[labels == label], weight[labels == label]) for label in (0, 1))
        centred = x - torch.where(labels[:, None] == 1, fake, genuine)
        scatter = centred.T @ (centred * weight[:, None])
        scatter += self.shrinkage * scatter.trace() / len(scatter) * torch.eye(len(x[0])).double()
        # a pseudo-inverse: with one clip per class the scatter is zero, and so is the rule
        rule = torch.linalg.pinv(scatter, hermitian=True) @ (fake - genuine)
        self.rule.copy_(rule / spread)
        self.bias.copy_(-rule @ (fake + genuine) / 2)


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    return weight @ x / weight.sum()
