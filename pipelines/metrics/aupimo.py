"""Temporal AUPIMO: recall of forged steps at false positive rates fixed on real videos alone.

After AUPIMO (Bertoldo, Ziemann and others, BMVC 2024) with steps in the place of pixels. The false
positive rate of a threshold is measured on entirely real videos, so that the score of one forged
video depends on no other forged one. Thresholds are the real steps' own scores, which makes the
result invariant under every increasing transformation of the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from extractors.clip import Doubles
from extractors.errors import AvdetectError, InputError

BOUNDS = (1e-3, 1e-2)  # false positive rates over which the recall is averaged
STEPS_PER_RATE = 10  # real steps needed for each 1 / lower bound
FEWEST_POINTS, FEW_POINTS = 30, 300  # of the curve within the bounds: fewer are refused, warned of
MISSED = 0.05  # a forged video with a lower AUPIMO counts as missed


class TooFewStepsError(AvdetectError, ValueError):
    """The real videos have too few steps for such low false positive rates."""


@dataclass(frozen=True, eq=False)
class Aupimo:
    """AUPIMO of each forged video, and what it rests on."""

    scores: Doubles  # (V,) in [0, 1], one a forged video, in the order of the input
    bounds: tuple[float, float]
    real_steps: int
    points: int  # of the curve within the bounds

    @property
    def missed(self) -> float:
        """The share of forged videos that are missed."""
        return float((self.scores < MISSED).mean())


def temporal_aupimo(
    real: Sequence[Doubles],
    forged: Sequence[tuple[Doubles, Doubles]],
    bounds: tuple[float, float] = BOUNDS,
) -> Aupimo:
    """Return each forged video's mean recall over log false positive rates within the bounds.

    Args:
        real: scores (T,) of the steps of each entirely real video; each video counts the same.
        forged: scores (T,) and mask (T,), True where a step is forged, of each forged video.
        bounds: lower and upper false positive rate.

    Raises:
        TooFewStepsError: fewer than 10 / lower bound real steps, or too few distinct scores.
        InputError: bounds out of order, no forged video, or one without a forged step.
    """
    low, high = bounds
    if not 0 < low < high <= 1:
        raise InputError(f"expected bounds 0 < lower < upper <= 1, got {bounds}")
    steps = sum(map(len, real))
    if steps < STEPS_PER_RATE / low:
        raise TooFewStepsError(
            f"{steps} real steps cannot measure a false positive rate of {low:g}: it takes "
            f"{STEPS_PER_RATE / low:.0f}"
        )
    if not forged or not all(mask.any() for _, mask in forged):
        raise InputError("expected one forged video or more, each with a forged step")
    thresholds, rates = _false_positive_rates(real)
    within = (rates >= low) & (rates <= high)
    if within.sum() <= FEWEST_POINTS:
        raise TooFewStepsError(
            f"{within.sum()} distinct scores of real steps between false positive rates {low:g} "
            f"and {high:g}: it takes more than {FEWEST_POINTS}"
        )
    places = np.concatenate([[low], rates[within], [high]])
    weights = np.log(places / low)
    scores = []
    for values, mask in forged:
        ordered = np.sort(values[mask])
        recall = 1 - np.searchsorted(ordered, thresholds, side="left") / len(ordered)
        curve = np.interp(weights, np.log(rates / low), recall)
        area = (np.diff(weights) * (curve[1:] + curve[:-1]) / 2).sum()
        scores.append(area / np.log(high / low))
    return Aupimo(np.array(scores).clip(0, 1), bounds, steps, int(within.sum()))


def _false_positive_rates(real: Sequence[Doubles]) -> tuple[Doubles, Doubles]:
    """Return the distinct thresholds, highest first, and the false positive rate at each.

    A step is a false alarm where its score is the threshold or more; the rate is the mean over
    videos of their shares of false alarms.
    """
    scores = np.concatenate(real)
    weights = np.concatenate([np.full(len(v), 1 / len(v) / len(real)) for v in real if len(v)])
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of equal scores
    return scores[order][last], np.cumsum(weights[order])[last]
