"""Cluster bootstrap over persons, of counts and of AUCs by group.

Fifteen clips of one person are not fifteen independent observations: a draw takes persons, with
all their clips.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from extractors.clip import Doubles

DRAWS = 2000


def person_draws(counts: Doubles, seed: int = 0) -> Doubles:
    """Return the sums (DRAWS, G, 4) over persons drawn with replacement from (P, G, 4)."""
    persons = len(counts)
    generator = np.random.default_rng(seed)
    flat = counts.reshape(persons, -1)
    sums = np.empty((DRAWS, flat.shape[1]))
    even = np.full(persons, 1 / persons)
    for draw in range(DRAWS):  # one by one, so that thousands of persons fit into memory
        sums[draw] = generator.multinomial(persons, even) @ flat
    return sums.reshape(DRAWS, *counts.shape[1:])


def auc_draws(
    fake: Doubles,
    score: Doubles,
    person: NDArray[np.intp],
    group: NDArray[np.intp],
    groups: Sequence[int],
    seed: int = 0,
) -> Doubles:
    """Return the AUC (DRAWS, G) of each group over persons drawn with replacement.

    It is NaN where a draw has no genuine or no forged clip of a group.

    Args:
        fake: (N,) 0 or 1, of each clip.
        score: (N,)
        person: (N,) who is in it.
        group: (N,) index of its group.
        groups: the G indices to return; persons are drawn once for all of them.
        seed: of the draws.
    """
    chosen = np.isin(group, groups)
    person = np.unique(person[chosen], return_inverse=True)[1]
    group, fake, score = group[chosen], fake[chosen], score[chosen]
    rows = [np.flatnonzero(group == g) for g in groups]
    levels = [np.unique(score[m], return_inverse=True)[1] for m in rows]
    persons = int(person.max()) + 1
    generator, even = np.random.default_rng(seed), np.full(persons, 1 / persons)
    areas = np.full((DRAWS, len(groups)), np.nan)
    for draw in range(DRAWS):
        weight = generator.multinomial(persons, even)[person]
        for column, (place, level) in enumerate(zip(rows, levels, strict=True)):
            fakes = np.bincount(level, weight[place] * fake[place])
            reals = np.bincount(level, weight[place] * (1 - fake[place]))
            pairs = fakes.sum() * reals.sum()
            if pairs:  # a tie counts half
                areas[draw, column] = (fakes * (np.cumsum(reals) - reals / 2)).sum() / pairs
    return areas


def gap_draws(draws: Doubles) -> Doubles:
    """Return the widest difference between groups in each of the draws (DRAWS, G)."""
    return np.asarray(draws.max(axis=1) - draws.min(axis=1))


def interval(values: Doubles) -> tuple[float, float]:
    """Return the 95 % interval of the draws; undefined ones (NaN) are left out."""
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)
