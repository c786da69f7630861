"""Metrics of binary detection. Label 1 is fake, and a higher score means more likely fake.

Pure functions. NaN is an error everywhere: a video that could not be judged must not vanish from
a result. Metrics of segments are in `pipelines.metrics.segments`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from extractors.clip import Doubles
from extractors.errors import InputError

Metric = Callable[[Doubles, Doubles], float]


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[Doubles, Doubles]:
    """Return false and true positive rates from (0, 0) to (1, 1), one point per distinct score."""
    fake, score = _both_classes(labels, scores)
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # of equal scores
    hits = np.cumsum(fake[order])[last]
    alarms = 1 + last - hits
    return np.append(0.0, alarms / (1 - fake).sum()), np.append(0.0, hits / fake.sum())


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the probability that a fake scores above a real one; a tie counts half (mid-rank)."""
    fake, score = _both_classes(labels, scores)
    _, which, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[which]
    fakes, reals = fake.sum(), (1 - fake).sum()
    return float((rank[fake == 1].sum() - fakes * (fakes + 1) / 2) / (fakes * reals))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the mean precision over the recall steps, not interpolated (as scikit-learn).

    Equal scores are one step. The metric depends on the share of fakes: compare detectors on the
    same clips only.
    """
    fake, score = _both_classes(labels, scores)
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits = np.cumsum(fake[order])[last]
    return float((np.diff(hits, prepend=0) * hits / (1 + last)).sum() / fake.sum())


def eer(
    labels: ArrayLike,
    scores: ArrayLike,
    variant: Literal["hull", "deepfakebench", "asvspoof", "deepsafe"] = "hull",
) -> float:
    """Return the equal error rate: where false positive and false negative rate are equal.

    With few clips no threshold makes the two rates equal, and conventions differ by percentage
    points:

    - "hull": where the convex hull of the ROC curve meets the line of equal rates. Reached by
      choosing between two thresholds at random; depends on no order and no grid.
    - "deepfakebench": the false positive rate at the corner of the ROC curve (as scikit-learn
      thins it) where the two are nearest.
    - "asvspoof": the mean of the two where they are nearest, a threshold after each single clip;
      of equal scores the real clips are rejected first.
    - "deepsafe": the least, over thresholds, of the greater of the two.
    """
    if variant == "asvspoof":
        return _asvspoof_eer(labels, scores)
    alarm, hit = roc_curve(labels, scores)
    miss = 1 - hit
    if variant == "deepfakebench":
        bend = np.hypot(np.diff(alarm[1:], 2), np.diff(miss[1:], 2)) > 1e-12
        corner = np.concatenate([[True, True], bend, [True]])[-len(alarm) :]
        return float(alarm[corner][np.argmin(np.abs(miss - alarm)[corner])])
    if variant == "deepsafe":
        return float(np.maximum(alarm, miss).min())
    if variant != "hull":
        raise InputError(
            f"expected variant 'hull', 'deepfakebench', 'asvspoof' or 'deepsafe', got {variant!r}"
        )
    alarm, miss = _lower_hull(alarm, miss)
    after = int(np.argmax(alarm >= miss))  # the hull goes from (0, 1) to (1, 0): there is one
    gap = (miss - alarm)[[after - 1, after]]
    share = gap[0] / (gap[0] - gap[1])
    return float(alarm[after - 1] + share * (alarm[after] - alarm[after - 1]))


def tpr_at_fpr(labels: ArrayLike, scores: ArrayLike, fpr: float = 0.01) -> float:
    """Return the highest true positive rate at a false positive rate of `fpr` or less.

    Nothing is interpolated: with fewer than 1 / fpr real clips no false alarm is allowed.
    """
    alarm, hit = roc_curve(labels, scores)
    return float(hit[alarm <= fpr + 1e-12].max())


def balanced_accuracy(labels: ArrayLike, scores: ArrayLike, threshold: float = 0.5) -> float:
    """Return the mean of true positive and true negative rate; scores >= threshold are fake."""
    fake, score = _both_classes(labels, scores)
    right = (score >= threshold) == (fake == 1)
    return float((right[fake == 1].mean() + right[fake == 0].mean()) / 2)


def brier(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the Brier score: the mean squared difference of probability and label."""
    fake, probability = _probabilities(labels, probabilities)
    return float(((probability - fake) ** 2).mean())


def nll(labels: ArrayLike, probabilities: ArrayLike, floor: float = 1e-7) -> float:
    """Return the mean negative log-likelihood in nats; probabilities are clipped at `floor`."""
    fake, probability = _probabilities(labels, probabilities)
    return float(-np.log(np.where(fake == 1, probability, 1 - probability).clip(floor)).mean())


def expected_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = 15
) -> float:
    """Return the mean over clips of |share of fakes - mean P(fake)| in the clip's bin.

    Bins are of equal width and hold their lower edge; probability 1 is a bin of its own. This is
    the version on P(fake), as in torchmetrics; the one on the predicted class differs.
    """
    fake, probability = _probabilities(labels, probabilities)
    which = np.searchsorted(np.linspace(0, 1, bins + 1), probability, side="right") - 1
    return float(np.abs(np.bincount(which, fake - probability)).sum() / len(fake))


def chance_calibration_error(
    probabilities: ArrayLike, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, tuple[float, float]]:
    """Return the calibration error that perfectly calibrated probabilities would show by chance.

    Labels are drawn from the probabilities themselves; the mean over the draws comes with their
    interval. An error inside the interval is indistinguishable from perfect calibration
    (Vaicenavicius et al. 2019, section 4).
    """
    values = np.asarray(probabilities, dtype=float)
    generator = np.random.default_rng(seed)
    errors = [
        expected_calibration_error(generator.random(len(values)) < values, values)
        for _ in range(draws)
    ]
    low, high = np.quantile(errors, [(1 - level) / 2, (1 + level) / 2])
    return float(np.mean(errors)), (float(low), float(high))


def reliability_curve(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = 15
) -> tuple[Doubles, Doubles, Doubles]:
    """Return mean P(fake), share of fakes and number of clips of each bin that is not empty.

    The bins are those of `expected_calibration_error`.
    """
    fake, probability = _probabilities(labels, probabilities)
    which = np.searchsorted(np.linspace(0, 1, bins + 1), probability, side="right") - 1
    count = np.bincount(which)
    filled = count > 0
    means = [np.bincount(which, value)[filled] / count[filled] for value in (probability, fake)]
    return means[0], means[1], count[filled].astype(float)


def bootstrap_interval(
    metric: Metric,
    labels: ArrayLike,
    scores: ArrayLike,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the bootstrap interval (percentiles) of a metric over resampled clips.

    Real and fake clips are drawn separately, so that every draw has as many of each as the data.
    """
    fake, score = _both_classes(labels, scores)
    generator = np.random.default_rng(seed)
    classes = [np.flatnonzero(fake == label) for label in (0, 1)]
    values = []
    for _ in range(draws):
        drawn = np.concatenate([generator.choice(clips, len(clips)) for clips in classes])
        values.append(metric(fake[drawn], score[drawn]))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[Doubles, Doubles]:
    fake, score = np.asarray(labels, dtype=float), np.asarray(scores, dtype=float)
    if fake.ndim != 1 or fake.shape != score.shape or not len(fake):
        raise InputError(
            f"expected as many labels as scores, one or more, got shapes {fake.shape} "
            f"and {score.shape}"
        )
    if not np.isin(fake, (0, 1)).all():
        raise InputError(f"expected labels 0 (real) and 1 (fake), got {np.unique(fake)[:5]}")
    if np.isnan(score).any():
        raise InputError(f"expected a score for every clip, got {np.isnan(score).sum()} NaN")
    return fake, score


def _both_classes(labels: ArrayLike, scores: ArrayLike) -> tuple[Doubles, Doubles]:
    fake, score = _checked(labels, scores)
    if len(np.unique(fake)) < 2:
        raise InputError(f"expected real and fake clips, got {len(fake)} of label {fake[0]:.0f}")
    return fake, score


def _probabilities(labels: ArrayLike, scores: ArrayLike) -> tuple[Doubles, Doubles]:
    fake, score = _checked(labels, scores)
    if score.min() < 0 or score.max() > 1:
        raise InputError(
            f"expected probabilities in [0, 1], got {score.min():.4g} to {score.max():.4g}"
        )
    return fake, score


def _lower_hull(x: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
    """Return the lower convex hull of points sorted by ascending x and then descending y."""
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) > 1:
            a, b = hull[-2:]
            if (x[b] - x[a]) * (y[i] - y[a]) > (y[b] - y[a]) * (x[i] - x[a]):
                break  # b lies below the line from a to i
            hull.pop()
        hull.append(i)
    return x[hull], y[hull]


def _asvspoof_eer(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the EER of ASVspoof's own scorer, whose scores are higher for real speech."""
    fake, score = _both_classes(labels, scores)
    order = np.concatenate([np.flatnonzero(fake == 0), np.flatnonzero(fake == 1)])
    order = order[np.argsort(-score[order], kind="stable")]
    rejected = np.append(0.0, np.cumsum(1 - fake[order]) / (1 - fake).sum())
    accepted = np.append(1.0, (fake.sum() - np.cumsum(fake[order])) / fake.sum())
    nearest = np.argmin(np.abs(rejected - accepted))
    return float((rejected[nearest] + accepted[nearest]) / 2)


FAILED = 0.5  # the score imputed to a file that could not be scored
