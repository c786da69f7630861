"""The base of opinions with a linear rule that clips and pairs of clips fit, by Newton's method."""

from __future__ import annotations

import torch
from torch import Tensor

from temporal.opinions.discriminant import LinearRule

RIDGE = 3e-5  # L2 penalty on the rule, for standardised features
PAIRED = 0.3  # total weight of the pairs; that of the clips is 1
ROUNDS, ENOUGH = 12, 1e-3  # Newton's method: most iterations, and the change of logits that ends it


class PairedRule(LinearRule):
    """A linear rule on standardised features: logistic regression on clips and on pairs of them."""

    mean: Tensor  # (F,) over the clips of the fit
    spread: Tensor  # (F,)

    def __init__(self, size: int) -> None:
        """Make an unfitted rule on `size` features, whose logits are 0."""
        super().__init__(size)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))

    def logits(self, found: Tensor) -> Tensor:
        """Return logits (...) of features (..., F)."""
        return (found - self.mean) / self.spread @ self.rule + self.bias

    def fit(self, found: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Fit to clips: features (N, F), labels (N,), 1 fake, and weights (N,) >= 0."""
        self.fit_pairs(found, labels, weights, torch.zeros(0, 2, dtype=torch.long))

    def fit_pairs(self, found: Tensor, labels: Tensor, weights: Tensor, pairs: Tensor) -> None:
        """Fit to clips as `fit` does, by logistic regression, and to pairs of them.

        pairs: (P, 2) rows of a fake and of the real clip that it was made from; the fake shall get
        the higher logit, which no property of their source can explain. Newton's method runs in the
        dual, since there are fewer clips than features.
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
    """Return weights (N,) that sum to 1, one half for each class."""
    fake = weights * labels
    genuine = weights - fake
    return fake / (2 * fake.sum()) + genuine / (2 * genuine.sum())


def _newton(rows: Tensor, truth: Tensor, shares: Tensor, constant: Tensor) -> tuple[Tensor, Tensor]:
    """Return the dual coefficients (N,) and the bias () of the logistic fit to rows (N, F).

    constant: (N,) factor of the bias for each row: 1 for clips, 0 for pairs.
    """
    kernel = rows @ rows.T / rows.shape[1]
    logits = torch.zeros_like(truth)
    for _ in range(ROUNDS):
        p = logits.sigmoid()
        curvature = (p * (1 - p)).clamp(min=1e-3)
        target = logits - (p - truth) / curvature
        system = kernel + torch.diag(2 * RIDGE / (shares * curvature))
        factor = torch.linalg.cholesky(system)
        solved = torch.cholesky_solve(torch.stack([target, constant], dim=1), factor)
        bias = (constant @ solved[:, 0]) / (constant @ solved[:, 1])
        dual = solved[:, 0] - bias * solved[:, 1]
        before, logits = logits, kernel @ dual + bias * constant
        if float((logits - before).abs().max()) < ENOUGH:
            break
    return dual, bias
