"""Metrics of attribution: several labels a clip, or families and unseen manipulations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from extractors.clip import Doubles
from pipelines.metrics.classification import average_precision


def multi_label_metrics(truth: ArrayLike, scores: ArrayLike, threshold: float) -> dict[str, float]:
    """Return mAP, CF1, OF1, exact match and any-correct of label sets (N, C) and scores (N, C).

    - map: mean average precision over the labels that have positive and negative clips.
    - cf1, of1: F1 of precision and recall averaged over labels, and pooled over all.
    - exact: the share of clips whose predicted label set is the true one; a genuine clip's is
      the empty set.
    - any_correct: of clips with a label, the share whose highest-scored label is a true one.
      Where every clip has exactly one label it is the accuracy.

    Source: the conventions of multi-label image classification (Chen et al., ML-GCN, CVPR 2019).
    """
    labels, values = np.asarray(truth) > 0, np.asarray(scores, dtype=np.float64)
    chosen = values >= threshold
    hits = (chosen & labels).sum(axis=0)
    precise = _share(hits, chosen.sum(axis=0)).mean(), _share(hits.sum(), chosen.sum())
    recalled = _share(hits, labels.sum(axis=0)).mean(), _share(hits.sum(), labels.sum())
    ranked = [
        average_precision(labels[:, c], values[:, c])
        for c in range(labels.shape[1])
        if 0 < labels[:, c].sum() < len(labels)
    ]
    has = labels.any(axis=1)
    top = labels[np.arange(len(labels)), values.argmax(axis=1)]
    return {
        "map": float(np.mean(ranked)) if ranked else float("nan"),
        "cf1": _f1(precise[0], recalled[0]),
        "of1": _f1(precise[1], recalled[1]),
        "exact": float((chosen == labels).all(axis=1).mean()),
        "any_correct": float(top[has].mean()) if has.any() else float("nan"),
    }


def tag_metrics(truth: ArrayLike, scores: ArrayLike, threshold: float) -> dict[str, float]:
    """Return how often the one tag of a forged clip is right, and how often there is one.

    The tag is the label of the highest score, if that reaches the threshold.

    - tag_accuracy: of forged clips, the share with a true tag; having none is wrong.
    - tag_coverage: of forged clips, the share that have a tag, and so words of their own.
    - tag_false_rate: of genuine clips, the share that would get one.

    Source: the domain tag of FakeShield (Xu et al., ICLR 2025).
    """
    labels, values = np.asarray(truth) > 0, np.asarray(scores, dtype=np.float64)
    forged, tagged = labels.any(axis=1), values.max(axis=1) >= threshold
    right = labels[np.arange(len(labels)), values.argmax(axis=1)] & tagged
    shares = {
        "tag_accuracy": right[forged],
        "tag_coverage": tagged[forged],
        "tag_false_rate": tagged[~forged],
    }
    return {n: float(rows.mean()) if len(rows) else float("nan") for n, rows in shares.items()}


def cluster_accuracy(truth: ArrayLike, clusters: ArrayLike) -> float:
    """Return the accuracy under the best one-to-one assignment of clusters to classes.

    Source: Hungarian accuracy, as open-world attribution (CPL, ICCV 2023) measures novel classes.
    """
    from scipy.optimize import linear_sum_assignment

    _, first = np.unique(np.asarray(truth), return_inverse=True)
    _, second = np.unique(np.asarray(clusters), return_inverse=True)
    counts = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(counts, (first, second), 1)
    rows, columns = linear_sum_assignment(-counts)
    return float(counts[rows, columns].sum() / len(first))


def mean_interval(values: ArrayLike, draws: int = 400, seed: int = 0) -> tuple[float, float, float]:
    """Return the mean of one value per clip, and its 95 % bootstrap interval over clips."""
    sample = np.asarray(values, dtype=np.float64)
    low, high = resampled(lambda rows: float(sample[rows].mean()), len(sample), draws, seed)
    return float(sample.mean()), low, high


def resampled(
    metric: Callable[[NDArray[np.intp]], float], clips: int, draws: int = 400, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval (percentiles) of a metric of row indices over clips."""
    generator = np.random.default_rng(seed)
    estimates = [metric(generator.integers(0, clips, clips)) for _ in range(draws)]
    low, high = np.nanquantile(estimates, [0.025, 0.975])
    return float(low), float(high)


def _share(part: ArrayLike, whole: ArrayLike) -> Doubles:
    """Return part / whole, 0 where the whole is 0."""
    return np.asarray(part, np.float64) / np.maximum(np.asarray(whole, np.float64), 1)


def _f1(precision: float | Doubles, recall: float | Doubles) -> float:
    both = float(precision) + float(recall)
    return 2 * float(precision) * float(recall) / both if both else 0.0
