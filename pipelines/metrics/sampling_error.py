"""Sampling errors in closed form: how far a rate or an AUC of so many clips can be trusted.

They take every clip for independent of the others, so they are the least that is unknown; where
many clips show one person, `pipelines.metrics.person_bootstrap` tells more.
"""

from __future__ import annotations

from math import sqrt

from extractors.errors import InputError
from pipelines.metrics.paired import NORMAL_975


def wilson_interval(hits: float, trials: float) -> tuple[float, float]:
    """Return the 95 % interval of a share in [0, 1] (Wilson, 1927).

    Unlike a bootstrap it has a width where no trial, or every trial, is a hit.

    >>> print(*(round(bound, 3) for bound in wilson_interval(45, 50)))
    0.786 0.957

    Raises:
        InputError: no trials, or more hits than trials.
    """
    if trials <= 0 or not 0 <= hits <= trials:
        raise InputError(f"expected one trial or more and as many hits at most: {hits}, {trials}")
    share, square = hits / trials, NORMAL_975**2
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    reach = sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    reach *= NORMAL_975 / (1 + square / trials)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def auc_error(area: float, fakes: int, reals: int) -> float:
    """Return the standard error of an AUC of so many clips (Hanley and McNeil, 1982).

    It supposes scores of exponential distributions, of which the AUC alone tells the spread.

    Raises:
        InputError: the AUC lies outside [0, 1], or a class has no clip.
    """
    if not 0 <= area <= 1 or min(fakes, reals) < 1:
        raise InputError(f"expected an AUC and clips of both classes: {area}, {fakes}, {reals}")
    both_fakes, both_reals = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (fakes - 1) * (both_fakes - area**2)
    variance += (reals - 1) * (both_reals - area**2)
    return sqrt(variance / (fakes * reals))
