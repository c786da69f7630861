"""The opinion on a portrait: what a frozen picture encoder sees of generated faces.

Middle layers of an encoder that was trained on pictures and their captions tell generated faces
from filmed ones better than networks that were trained on forgeries alone, and hold on sources that
taught neither (Ojha et al., CVPR 2023; Yermakov et al. 2026). A linear rule reads them: with a few
hundred sources of clips, more would learn the sources.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temporal.opinions.discriminant import ClosedFormOpinion

RIDGE = 3e-5  # on the mean square of the rule, of standardised numbers
PAIRED = 0.3  # weight of all pairs' differences, where all clips together weigh 1
ROUNDS, ENOUGH = 12, 1e-3  # of Newton's method, and the change of logits that ends it


class PortraitOpinion(ClosedFormOpinion):
    """A linear rule on standardised features of each look at a face."""

    mean: Tensor  # (F * D,) over the clips of the fit
    spread: Tensor  # (F * D,)
    rule: Tensor  # (F * D,)
    bias: Tensor  # ()

    def __init__(self, features: int, width: int) -> None:
        """Make one that says nothing yet of `features` features of `width` numbers."""
        super().__init__()
        size = features * width
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))
        self.register_buffer("rule", torch.zeros(size))
        self.register_buffer("bias", torch.zeros(()))

    def forward(self, portrait: Tensor, mask: Tensor) -> Tensor:
        """Return step logits (N, L) of a portrait (N, L, F, D)."""
        with torch.autocast(portrait.device.type, enabled=False):
            return self.logits(self.describe(portrait, mask))

    def logits(self, found: Tensor) -> Tensor:
        """Return logits (...) of numbers (..., F * D)."""
        return (found - self.mean) / self.spread @ self.rule + self.bias

    def describe(self, portrait: Tensor, mask: Tensor) -> Tensor:
        """Return each step's features (N, L, F * D), every one without its mean and spread.

        How strongly a whole feature responds follows brightness and contrast.
        """
        x = portrait.float()
        x = x - x.mean(dim=-1, keepdim=True)
        x = x / x.std(dim=-1, keepdim=True, correction=0).clamp(min=1e-6)
        return x.flatten(2)

    def fit(self, found: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Learn from clips: numbers (N, F * D), labels (N,), 1 fake, and weights (N,) >= 0."""
        self.fit_pairs(found, labels, weights, torch.zeros(0, 2, dtype=torch.long))

    def fit_pairs(self, found: Tensor, labels: Tensor, weights: Tensor, pairs: Tensor) -> None:
        """Learn from clips as `fit` does, by logistic regression, and from pairs of them.

        Pairs (P, 2) are rows of a fake and of the genuine clip that it was made from: the first
        shall get the higher logit, whatever their source is like. Newton's method runs in the span
        of the clips, which are fewer than the numbers.
        """
        x, y = found.double(), labels.double()
        weight = _balanced(weights.double(), y)
        mean = weight @ x
        spread = (weight @ (x - mean).square()).sqrt() + 1e-6
        x = (x - mean) / spread
        rows, truth, shares, constant = x, y, weight, torch.ones_like(y)
        if len(pairs):
            count, one = len(pairs), torch.ones(len(pairs), dtype=torch.double)
            rows = torch.cat([x, x[pairs[:, 0]] - x[pairs[:, 1]]])
            truth = torch.cat([y, one])
            shares = torch.cat([weight, one * PAIRED / count])
            constant = torch.cat([constant, 0 * one])
        dual, bias = _newton(rows, truth, shares, constant)
        self.mean.copy_(mean)
        self.spread.copy_(spread)
        self.rule.copy_(rows.T @ dual / rows.shape[1])
        self.bias.copy_(bias)

    def rescale(self, scale: float, shift: float) -> None:
        """Make logits `scale * logit + shift` of what they are."""
        self.rule.mul_(scale)
        self.bias.mul_(scale).add_(shift)


def _balanced(weights: Tensor, labels: Tensor) -> Tensor:
    """Return weights (N,) that add up to 1, half of it on either class."""
    fake = weights * labels
    genuine = weights - fake
    return fake / (2 * fake.sum()) + genuine / (2 * genuine.sum())


def _newton(rows: Tensor, truth: Tensor, shares: Tensor, constant: Tensor) -> tuple[Tensor, Tensor]:
    """Return the dual coefficients (N,) of the rule that fits rows (N, F) best, and the bias.

    constant: how much of the bias each row has.
    """
    kernel = rows @ rows.T / rows.shape[1]
    logits = torch.zeros_like(truth)
    for _ in range(ROUNDS):
        p = logits.sigmoid()
        curvature = (p * (1 - p)).clamp(min=1e-3)
        target = logits - (p - truth) / curvature
        system = kernel + torch.diag(2 * RIDGE / (shares * curvature))
        solved = torch.linalg.solve(system, torch.stack([target, constant], dim=1))
        bias = (constant @ solved[:, 0]) / (constant @ solved[:, 1])
        dual = solved[:, 0] - bias * solved[:, 1]
        before, logits = logits, kernel @ dual + bias * constant
        if float((logits - before).abs().max()) < ENOUGH:
            break
    return dual, bias
