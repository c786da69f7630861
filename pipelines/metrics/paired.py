"""DeLong's paired test: which of two detectors has the higher AUC on the same clips, if either.

Overlapping intervals say little, because the same clips are hard for both detectors. The test here
is paired: it looks at the difference on the very same clips.
"""

from __future__ import annotations

from math import erfc, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from extractors.clip import Doubles
from extractors.errors import InputError
from pipelines.metrics.classification import auc

NORMAL_975 = 1.959963984540054  # the 97.5 % quantile of the standard normal distribution


def paired_auc(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> dict[str, Any]:
    """Return both AUCs, their difference with 95 % interval, two-sided p, and a verdict.

    After DeLong, DeLong and Clarke-Pearson (Biometrics 1988). The difference is first - second;
    the verdict is that the first is "better" or "worse" where the interval excludes 0, else "not
    distinguishable".
    """
    areas = auc(labels, first), auc(labels, second)
    fake = np.asarray(labels, dtype=float)
    shares = [_shares(fake, np.asarray(scores, dtype=float)) for scores in (first, second)]
    difference = areas[0] - areas[1]
    variance = sum(_variance_of_mean(a - b) for a, b in zip(*shares, strict=True))
    error = sqrt(variance)
    low, high = difference - NORMAL_975 * error, difference + NORMAL_975 * error
    certain = 0.0 if difference else 1.0  # where the variance of the difference is 0
    verdict = "better" if low > 0 else "worse" if high < 0 else "not distinguishable"
    return {
        "auc": areas[0],
        "auc_against": areas[1],
        "difference": difference,
        "difference_interval": (low, high),
        "p": erfc(abs(difference) / error / sqrt(2)) if error else certain,
        "verdict": verdict,
    }


def _shares(fake: Doubles, scores: Doubles) -> tuple[Doubles, Doubles]:
    """Return each fake's share of real clips below it, and each real clip's of fakes above it."""
    fakes, reals = np.sort(scores[fake == 1]), np.sort(scores[fake == 0])
    return _share_below(scores[fake == 1], reals), 1 - _share_below(scores[fake == 0], fakes)


def _share_below(values: Doubles, ordered: Doubles) -> Doubles:
    """Return for each value the share of an ascending array below it; a tie counts half."""
    ends = [np.searchsorted(ordered, values, side=side) for side in ("left", "right")]
    return (ends[0] + ends[1]) / 2 / len(ordered)


def _variance_of_mean(values: Doubles) -> float:
    if len(values) < 2:
        raise InputError("expected two or more real and two or more fake clips to compare on")
    return float(values.var(ddof=1) / len(values))
