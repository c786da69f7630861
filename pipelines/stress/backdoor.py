"""Signs of a backdoor in features and in a network, without knowing its trigger.

Three tests of the literature, each against its own null. None is a proof of cleanness: a trigger
that leaves the features' main direction alone, or needs more than a faint pattern, passes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from extractors.clip import Doubles
from extractors.errors import InputError

DRAWS = 199  # of the null: the least p-value is 1 / 200
MAD_TO_DEVIATION = 1.4826  # of a normal distribution


@dataclass(frozen=True, eq=False)
class Signature:
    """The test of one class's features for a minority that stands apart."""

    p: float
    share: float  # of the variance along the main direction
    scores: Doubles  # (N,) squared projection on it: poisoned ones are high


def spectral_signature(features: Doubles, seed: int = 0) -> Signature:
    """Return the spectral signature of features (N, D) of one class's clips.

    After Tran, Li and Madry (NeurIPS 2018): poisoned members lie apart along the main direction.
    What is tested is the kurtosis there, which a small minority raises, against normal features of
    the same covariance, so that what the class varies by anyway raises no alarm.

    Raises:
        InputError: fewer than eight clips.
    """
    if len(features) < 8:
        raise InputError(f"expected features of eight clips or more, got {len(features)}")
    centred = features - features.mean(axis=0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    along = centred @ directions[0]
    found, generator = _kurtosis(along), np.random.default_rng(seed)
    null = []
    for _ in range(DRAWS):
        drawn = generator.standard_normal((len(features), len(sizes))) * sizes
        drawn -= drawn.mean(axis=0)
        direction = np.linalg.svd(drawn, full_matrices=False)[2][0]
        null.append(_kurtosis(drawn @ direction))
    p = (1 + sum(value >= found for value in null)) / (1 + DRAWS)
    return Signature(p, float(sizes[0] ** 2 / np.square(sizes).sum()), np.square(along))


def _kurtosis(values: Doubles) -> float:
    return float((values**4).mean() / max(float((values**2).mean()) ** 2, 1e-30))


def universal_perturbation(
    loss: Callable[[Tensor], Tensor],
    pictures: Tensor,
    bounds: Sequence[float],
    share: float = 0.8,
    steps: int = 20,
) -> float | None:
    """Return the least bound at which one pattern makes that share of fakes pass; None: at none.

    A backdoored network needs less of it than a clean one, see `anomaly_index`.

    Args:
        loss: pictures (N, C, H, W) -> logits (N,), above 0 for fake.
        pictures: (N, C, H, W) fakes, in grey levels.
        bounds: on the change of each value, ascending.
        share: of the fakes.
        steps: gradient steps under each bound.
    """
    for bound in bounds:
        pattern = torch.zeros_like(pictures[0])
        for _ in range(steps):
            trial = pattern.clone().requires_grad_(True)
            logits = loss((pictures + trial).clamp(0, 255))
            (gradient,) = torch.autograd.grad(logits.clamp(min=-1.0).sum(), trial)
            pattern = (pattern - bound / 4 * gradient.sign()).clamp(-bound, bound)
        with torch.no_grad():
            passed = (loss((pictures + pattern).clamp(0, 255)) < 0).float().mean()
        if float(passed) >= share:
            return bound
    return None


def anomaly_index(values: Sequence[float]) -> list[float]:
    """Return how far each value lies below the median, in deviations as by the median distance.

    After Wang and others (Neural Cleanse, IEEE S&P 2019), where more than 2 is an anomaly.

    >>> print(*(round(value, 2) for value in anomaly_index([4.0, 4.2, 3.8, 4.1, 1.0])))
    0.0 -0.67 0.67 -0.34 10.12
    """
    table = np.asarray(values, float)
    middle = np.median(table)
    spread = MAD_TO_DEVIATION * np.median(np.abs(table - middle))
    return [float(value) for value in (middle - table) / max(spread, 1e-12)]
