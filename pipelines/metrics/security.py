"""White-box robustness: bounded attacks (PGD), GREAT scores, and the noise ceiling.

For detectors whose weights are at hand, to learn where they break before others do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, erf, log, pi, sqrt
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from extractors.errors import InputError

MOST_GREAT = sqrt(pi / 2)  # the highest GREAT score


def pgd(
    loss: Callable[[Tensor], Tensor],
    x: Tensor,
    epsilon: float,
    steps: int = 10,
    bounds: tuple[float, float] = (-float("inf"), float("inf")),
) -> tuple[Tensor, list[float]]:
    """Return the input within epsilon of x with the highest loss, and that loss after each step.

    Projected gradient ascent of Madry and others (ICLR 2018) in the maximum norm: steps of
    epsilon / 4 by the gradient's sign, from x itself, so that the best loss never falls.

    Args:
        loss: input -> scalar, to be maximised.
        x: the input.
        epsilon: the bound on the change of each value; 0 returns x.
        steps: gradient steps.
        bounds: the range that the values must stay in.
    """
    best, adversarial = x.detach(), x.detach()
    history: list[float] = []
    for step in range((steps if epsilon else 0) + 1):
        candidate = adversarial.clone().requires_grad_(True)
        value = loss(candidate)
        if not history or float(value.detach()) > history[-1]:
            best = adversarial
        history.append(max([float(value.detach()), *history[-1:]]))
        if epsilon and step < steps:
            (gradient,) = torch.autograd.grad(value, candidate)
            moved = adversarial + epsilon / 4 * gradient.sign()
            adversarial = moved.clamp(x - epsilon, x + epsilon).clamp(*bounds).detach()
    return best, history


@dataclass(frozen=True)
class Great:
    """A GREAT score: the mean least distance, in noise standard deviations, that flips a clip."""

    score: float
    interval: tuple[float, float]  # 95 % confidence interval of the mean, by Hoeffding
    clips: int


def great_score(labels: ArrayLike, probabilities: ArrayLike) -> Great:
    """Return the GREAT score of clips from their P(fake) alone; a misclassified clip counts 0.

    After Li, Chen and Ho (NeurIPS 2024). On average, a smaller perturbation cannot flip the
    classifier smoothed with unit Gaussian noise; without smoothing the score is a heuristic.

    Raises:
        InputError: no clips, or probabilities outside [0, 1].
    """
    fake, probability = np.asarray(labels, dtype=float), np.asarray(probabilities, dtype=float)
    if not len(fake) or probability.min() < 0 or probability.max() > 1:
        raise InputError("expected one clip or more, with probabilities in [0, 1]")
    margin = np.where(fake == 1, 2 * probability - 1, 1 - 2 * probability)
    score = float((MOST_GREAT * margin.clip(0)).mean())
    reach = MOST_GREAT * sqrt(log(2 / 0.05) / (2 * len(fake)))
    return Great(score, (max(score - reach, 0.0), min(score + reach, MOST_GREAT)), len(fake))


def great_clips(error: float, chance: float) -> int:
    """Return how many clips keep a GREAT score within `error` of the mean, except with `chance`.

    >>> great_clips(0.05, 0.05)
    1159
    """
    return ceil(pi * log(2 / chance) / (4 * error**2))


@dataclass(frozen=True)
class NoiseCeiling:
    """The best AUC that any detector can reach once noise is added to real and fake alike."""

    total_variation: float
    auc: float  # of the best detector, for a known difference
    auc_bound: float  # 1/2 + TV - TV² / 2, for any difference of such a total variation


def noise_ceiling(distance: float, sigma: float) -> NoiseCeiling:
    """Return the ceiling for fakes that differ from real clips by one vector of length `distance`.

    Gaussian noise of standard deviation `sigma` is added to both (Saberi and others, ICLR 2024).
    """
    if distance < 0 or sigma <= 0:
        raise InputError(f"expected distance >= 0 and sigma > 0, got {distance} and {sigma}")
    ratio = distance / sigma
    variation = erf(ratio / (2 * sqrt(2)))
    auc = NormalDist().cdf(ratio / sqrt(2))
    return NoiseCeiling(variation, auc, 0.5 + variation - variation**2 / 2)
