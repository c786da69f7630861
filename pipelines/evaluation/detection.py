"""Detection metrics of each score against its labels, and the counts behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from extractors.clip import Doubles
from pipelines.data.samples import Sample, truths
from pipelines.metrics.classification import (
    FAILED,
    Metric,
    auc,
    average_precision,
    balanced_accuracy,
    bootstrap_interval,
    brier,
    chance_calibration_error,
    eer,
    expected_calibration_error,
    nll,
    reliability_curve,
    roc_curve,
    tpr_at_fpr,
)
from pipelines.metrics.within_sources import Strings, within_sources

FEWEST = 3  # fakes of a generator, clips of a quality, below which an AUC means nothing
METRICS: dict[str, Metric] = {
    "auc": auc,
    "ap": average_precision,
    "eer_hull": eer,
    "tpr_at_fpr_1": partial(tpr_at_fpr, fpr=0.01),
    "tpr_at_fpr_5": partial(tpr_at_fpr, fpr=0.05),
    "balanced_accuracy": balanced_accuracy,
    "brier": brier,
    "nll": nll,
    "ece": expected_calibration_error,
}


def detection_metrics(
    samples: Sequence[Sample], results: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return metrics of each score: all fakes, and the fakes of each generator, against real clips.

    A modality's score is measured on the files whose label of that modality is known: a clip whose
    sound alone is synthetic is a genuine clip for the visual score.
    """
    metrics: dict[str, Any] = {}
    for column, truth_of in truths().items():
        labelled = [(s, truth) for s in samples if (truth := truth_of(s)) is not None]
        scores = [results.get(str(s.path), {}).get(column) for s, _ in labelled]
        metrics[column] = _score_metrics(labelled, scores)
    return metrics


def _score_metrics(
    labelled: Sequence[tuple[Sample, bool]], scores: Sequence[float | None]
) -> dict[str, Any]:
    scored = [
        (sample, fake, score)
        for (sample, fake), score in zip(labelled, scores, strict=True)
        if score is not None
    ]
    labels = np.array([fake for _, fake, _ in scored], dtype=float)
    values = np.array([score for _, _, score in scored])
    row: dict[str, Any] = {"given": len(labelled), "scored": len(scored)}
    row |= {"fake": int(labels.sum()), "real": int(len(labels) - labels.sum())}
    if not 0 < labels.sum() < len(labels):
        return row | {"note": "needs scored files of both classes"}
    everyone = [int(fake) for _, fake in labelled]
    imputed = np.array([FAILED if score is None else score for score in scores])
    for name, metric in METRICS.items():
        row[name] = metric(labels, values)
        row[f"{name}_interval"] = bootstrap_interval(metric, labels, values)
        row[f"{name}_failures_as_half"] = metric(np.array(everyone, dtype=float), imputed)
    row["ece_by_chance"], row["ece_by_chance_interval"] = chance_calibration_error(values)
    row["eer_variants"] = {
        name: eer(labels, values, name) for name in ("deepfakebench", "asvspoof", "deepsafe")
    }
    row["curves"] = {
        "roc": [axis.tolist() for axis in roc_curve(labels, values)],
        "reliability": [axis.tolist() for axis in reliability_curve(labels, values)],
    }
    sources = np.array([sample.source for sample, _, _ in scored])
    if len(np.unique(sources)) > 1:
        row |= within_sources(labels, values, sources)
    methods = np.array([sample.method for sample, _, _ in scored])
    levels = np.array([dict(sample.groups).get("quality", "") for sample, _, _ in scored])
    if (levels != "").any():
        row["by_quality"] = _qualities(labels, values, levels)
    return row | _generators(labels, values, methods)


def _qualities(labels: Doubles, values: Doubles, levels: Strings) -> dict[str, dict[str, Any]]:
    """Return the AUC within each quality level (compression or codec)."""
    rows: dict[str, dict[str, Any]] = {}
    for level in filter(None, map(str, np.unique(levels))):
        members = labels[levels == level], values[levels == level]
        fakes = int(members[0].sum())
        rows[level] = {"fakes": fakes, "reals": len(members[0]) - fakes}
        if min(rows[level].values()) >= FEWEST:
            rows[level] |= {"auc": auc(*members), "auc_interval": bootstrap_interval(auc, *members)}
    return rows


def _generators(labels: Doubles, values: Doubles, methods: Strings) -> dict[str, Any]:
    """Return the AUC of each generator's fakes against all real clips, the lowest first.

    `generators_auc` is their unweighted mean, and `worst_generator` the first.
    """
    real = values[labels == 0]
    fakes = {
        str(m): values[(labels == 1) & (methods == m)] for m in np.unique(methods[labels == 1])
    }
    enough = {name: fake for name, fake in fakes.items() if len(fake) >= FEWEST}
    rows: dict[str, dict[str, Any]] = {name: {"fakes": len(fake)} for name, fake in fakes.items()}
    for name, fake in enough.items():
        pair = np.repeat([0.0, 1.0], [len(real), len(fake)]), np.append(real, fake)
        rows[name] |= {"auc": auc(*pair), "auc_interval": bootstrap_interval(auc, *pair)}
    ranked = dict(sorted(rows.items(), key=lambda item: item[1].get("auc", 2.0)))
    row: dict[str, Any] = {"by_generator": ranked}
    if enough:
        row["generators_auc"] = float(np.mean([rows[name]["auc"] for name in enough]))
        row["generators_auc_interval"] = _mean_interval(real, list(enough.values()))
        row["worst_generator"] = next(iter(ranked))
    return row


def _mean_interval(
    real: Doubles, fakes: Sequence[Doubles], draws: int = 1000
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean AUC over generators; clips are drawn."""
    generator = np.random.default_rng(0)
    means = []
    for _ in range(draws):
        reals = np.sort(generator.choice(real, len(real)))
        areas = []
        for fake in fakes:
            draw = generator.choice(fake, len(fake))
            below = np.searchsorted(reals, draw, "left") + np.searchsorted(reals, draw, "right")
            areas.append(below.mean() / 2 / len(reals))
        means.append(np.mean(areas))
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def abstention(
    samples: Sequence[Sample], results: Mapping[str, Mapping[str, Any]]
) -> dict[str, float | int | None]:
    """Return how often the verdict is inconclusive, and the accuracy with and without abstaining.

    `accuracy_all` is over every scored file at the threshold 0.5, `accuracy_decided` over the
    verdicts fake and real.
    """
    judged = [(s.fake, r) for s in samples if (r := results.get(str(s.path), {})).get("verdict")]
    decided = [(fake, r) for fake, r in judged if r["verdict"] != "inconclusive"]
    scored = [(fake, r["score"]) for fake, r in judged if r.get("score") is not None]
    return {
        "judged": len(judged),
        "inconclusive": len(judged) - len(decided),
        "inconclusive_share": 1 - len(decided) / len(judged) if judged else None,
        "accuracy_all": _mean([(score >= 0.5) == fake for fake, score in scored]),
        "accuracy_decided": _mean([(r["verdict"] == "fake") == fake for fake, r in decided]),
    }


def _mean(right: Sequence[bool]) -> float | None:
    return float(np.mean(right)) if right else None
