"""Temporal AUPIMO of labelled results: how well timelines separate forged from genuine steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from extractors.clip import Doubles
from pipelines.data.samples import Sample
from pipelines.metrics.aupimo import BOUNDS, FEW_POINTS, TooFewStepsError, temporal_aupimo
from temporal.segment import MODALITIES


def aupimo_metrics(
    samples: Sequence[Sample],
    results: Mapping[str, Mapping[str, Any]],
    bounds: tuple[float, float] = BOUNDS,
) -> dict[str, Any]:
    """Return temporal AUPIMO by video, of each modality's timeline and of their maximum.

    Where the real videos are too short or too few, `refused` holds the reason instead.
    """
    metrics: dict[str, Any] = {"bounds": list(bounds)}
    for column, name in enumerate(("any", *MODALITIES)):
        real: list[Doubles] = []
        forged: dict[str, tuple[Doubles, Doubles]] = {}
        for sample in samples:
            timeline = results.get(str(sample.path), {}).get("timeline")
            if timeline is None or not len(timeline):
                continue
            scores = curve_scores(timeline, column)
            mask = forged_steps(sample, len(timeline), column)
            if mask is None or np.isnan(scores).any():
                continue
            if not mask.any():
                real.append(scores)
            else:
                forged[str(sample.path)] = (scores, mask)
        metrics[name] = _aupimo_row(real, forged, bounds)
    return metrics


def curve_scores(timeline: Doubles, column: int) -> Doubles:
    """Return the scores (T,) of a column; column 0 is the maximum over judged modalities."""
    if column:
        return np.asarray(timeline[:, column - 1], dtype=float)
    judged = timeline[:, ~np.isnan(timeline).all(axis=0)]
    return np.asarray(np.fmax.reduce(judged, axis=1, initial=0.0), dtype=float)


def forged_steps(sample: Sample, steps: int, column: int) -> Doubles | None:
    """Return which steps (T,) are forged; None if unknown, or if no whole step is forged."""
    labels = sample.targets(0, steps).numpy()
    if column:
        labels, fake = labels[:, column - 1 : column], bool(getattr(sample, MODALITIES[column - 1]))
    else:
        fake = sample.fake
    mask = np.asarray((labels == 1).any(axis=1))
    unknown = (labels == -1).all() or (fake and not mask.any())
    return None if unknown else mask


def _aupimo_row(
    real: Sequence[Doubles],
    forged: Mapping[str, tuple[Doubles, Doubles]],
    bounds: tuple[float, float],
) -> dict[str, Any]:
    row: dict[str, Any] = {"real_videos": len(real), "forged_videos": len(forged)}
    if not forged:
        return row | {"refused": "no forged video has a timeline and known seconds"}
    try:
        result = temporal_aupimo(real, list(forged.values()), bounds)
    except TooFewStepsError as error:
        return row | {"refused": str(error)}
    draws = np.random.default_rng(0).choice(result.scores, (1000, len(result.scores)))
    interval = np.quantile(draws.mean(axis=1), [0.025, 0.975]).tolist()
    return row | {
        "aupimo": float(result.scores.mean()), "aupimo_interval": interval,
        "missed": result.missed, "real_steps": result.real_steps, "points": result.points,
        "few_points": result.points < FEW_POINTS,
        "by_video": dict(zip(forged, result.scores.tolist(), strict=True)),
    }  # fmt: skip
