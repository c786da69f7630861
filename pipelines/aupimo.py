"""Timelines in, temporal AUPIMO out: recall at false positive rates fixed on real videos alone.

After AUPIMO (Bertoldo, Ziemann and others, BMVC 2024) with steps in the place of pixels. The share
of false alarms that a threshold gives is measured on entirely real videos, so that the score of
one forged video depends on no other forged one. Thresholds are the real steps' own scores, which
makes the result the same under every increasing change of the scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.datasets import Sample
from pipelines.metrics import Array
from temporal.localization import MODALITIES

BOUNDS = (1e-3, 1e-2)  # false positive rates over which the recall is averaged
STEPS_PER_RATE = 10  # real steps needed for each 1 / lower bound
FEWEST_POINTS, FEW_POINTS = 30, 300  # of the curve within the bounds: refused, warned of
MISSED = 0.05  # a forged video with less was missed


class TooFewStepsError(ValueError):
    """The real videos have too few steps for such low false positive rates."""


@dataclass(frozen=True, eq=False)
class Aupimo:
    """AUPIMO of each forged video, and what it rests on."""

    scores: Array  # (V,) in [0, 1], one a forged video, in the order given
    bounds: tuple[float, float]
    real_steps: int
    points: int  # of the curve within the bounds

    @property
    def missed(self) -> float:
        """The share of forged videos that are missed."""
        return float((self.scores < MISSED).mean())


def temporal_aupimo(
    real: Sequence[Array],
    forged: Sequence[tuple[Array, Array]],
    bounds: tuple[float, float] = BOUNDS,
) -> Aupimo:
    """Return the mean recall of each forged video over log false positive rates in the bounds.

    Args:
        real: scores (T,) of the steps of each entirely real video; each video counts the same.
        forged: scores (T,) and mask (T,), True where a step is forged, of each forged video.
        bounds: lower and upper false positive rate.

    Raises:
        TooFewStepsError: fewer than 10 / lower bound real steps, or too few distinct scores.
        ValueError: bounds out of order, no forged video, or one without a forged step.
    """
    low, high = bounds
    if not 0 < low < high <= 1:
        raise ValueError(f"expected bounds 0 < lower < upper <= 1, got {bounds}")
    steps = sum(map(len, real))
    if steps < STEPS_PER_RATE / low:
        raise TooFewStepsError(
            f"{steps} real steps cannot measure a false positive rate of {low:g}: it takes "
            f"{STEPS_PER_RATE / low:.0f}"
        )
    if not forged or not all(mask.any() for _, mask in forged):
        raise ValueError("expected one forged video or more, each with a forged step")
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


def _false_positive_rates(real: Sequence[Array]) -> tuple[Array, Array]:
    """Return distinct thresholds, the highest first, and the mean over videos of the share above.

    A step is a false alarm where its score is the threshold or more.
    """
    scores = np.concatenate(real)
    weights = np.concatenate([np.full(len(v), 1 / len(v) / len(real)) for v in real if len(v)])
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of equal scores
    return scores[order][last], np.cumsum(weights[order])[last]


def aupimo_metrics(
    samples: Sequence[Sample],
    results: Mapping[str, Mapping[str, Any]],
    bounds: tuple[float, float] = BOUNDS,
) -> dict[str, Any]:
    """Return temporal AUPIMO of each modality's timeline and of the highest of all, by video.

    Where the real videos are too short or too few, the reason stands in the place of the numbers.
    """
    found: dict[str, Any] = {"bounds": list(bounds)}
    for column, name in enumerate(("any", *MODALITIES)):
        real: list[Array] = []
        forged: dict[str, tuple[Array, Array]] = {}
        for sample in samples:
            timeline = results.get(str(sample.path), {}).get("timeline")
            if timeline is None or not len(timeline):
                continue
            scores = _scores(timeline, column)
            mask = _mask(sample, len(timeline), column)
            if mask is None or np.isnan(scores).any():
                continue
            if not mask.any():
                real.append(scores)
            else:
                forged[str(sample.path)] = (scores, mask)
        found[name] = _found(real, forged, bounds)
    return found


def _scores(timeline: Array, column: int) -> Array:
    """Return the scores (T,) of a column, 0 being the highest of all that were judged."""
    if column:
        return np.asarray(timeline[:, column - 1], dtype=float)
    judged = timeline[:, ~np.isnan(timeline).all(axis=0)]
    return np.asarray(np.fmax.reduce(judged, axis=1, initial=0.0), dtype=float)


def _mask(sample: Sample, steps: int, column: int) -> Array | None:
    """Return which steps (T,) are forged; None where nobody says, or a whole step is nowhere."""
    labels = sample.targets(0, steps).numpy()
    if column:
        labels, fake = labels[:, column - 1 : column], bool(getattr(sample, MODALITIES[column - 1]))
    else:
        fake = sample.fake
    mask = np.asarray((labels == 1).any(axis=1))
    unknown = (labels == -1).all() or (fake and not mask.any())
    return None if unknown else mask


def _found(
    real: Sequence[Array], forged: Mapping[str, tuple[Array, Array]], bounds: tuple[float, float]
) -> dict[str, Any]:
    known: dict[str, Any] = {"real_videos": len(real), "forged_videos": len(forged)}
    if not forged:
        return known | {"refused": "no forged video has a timeline and known seconds"}
    try:
        result = temporal_aupimo(real, list(forged.values()), bounds)
    except TooFewStepsError as error:
        return known | {"refused": str(error)}
    draws = np.random.default_rng(0).choice(result.scores, (1000, len(result.scores)))
    interval = np.quantile(draws.mean(axis=1), [0.025, 0.975]).tolist()
    return known | {
        "aupimo": float(result.scores.mean()), "aupimo_interval": interval,
        "missed": result.missed, "real_steps": result.real_steps, "points": result.points,
        "few_points": result.points < FEW_POINTS,
        "by_video": dict(zip(forged, result.scores.tolist(), strict=True)),
    }  # fmt: skip
