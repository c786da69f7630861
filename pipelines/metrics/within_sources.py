"""AUC within sources: how well fakes are told from real clips of the same collection.

Where genuine and forged clips come from different collections, a detector can score well by
telling the collections apart: by their cameras, their codecs, how people move. Within a source
that has both classes this shortcut does not exist, so only its own clips are compared here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from extractors.clip import Doubles

Strings = NDArray[np.str_]


def within_sources(
    labels: Doubles, scores: Doubles, sources: Strings, draws: int = 1000
) -> dict[str, Any]:
    """Return the AUC over pairs of a fake and a real clip of the same source, and by source.

    It is the probability that the fake of such a pair has the higher score (ties count half): the
    AUC stratified by source (van Elteren 1960, each pair counting the same).

    Args:
        labels: (N,) 1 fake, 0 real.
        scores: (N,), higher is more likely fake.
        sources: (N,) where each clip comes from.
        draws: of the bootstrap, which draws clips of each class within each source.

    Returns:
        `within_sources_auc`, its 95 % interval, and `by_source` the fakes, genuine clips and AUC
        of each source that has both classes; empty where none has.
    """
    groups = {
        str(source): (
            scores[(sources == source) & (labels == 1)],
            np.sort(scores[(sources == source) & (labels == 0)]),
        )
        for source in np.unique(sources)
    }
    groups = {name: pair for name, pair in groups.items() if len(pair[0]) and len(pair[1])}
    if not groups:
        return {}
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(draws):
        again = [
            (generator.choice(fake, len(fake)), np.sort(generator.choice(real, len(real))))
            for fake, real in groups.values()
        ]
        drawn.append(sum(map(_won, again)))
    pairs = sum(len(fake) * len(real) for fake, real in groups.values())
    low, high = np.quantile(np.array(drawn) / pairs, [0.025, 0.975])
    return {
        "within_sources_auc": sum(map(_won, groups.values())) / pairs,
        "within_sources_auc_interval": (float(low), float(high)),
        "by_source": {
            name: {
                "fakes": len(pair[0]),
                "reals": len(pair[1]),
                "auc": _won(pair) / (len(pair[0]) * len(pair[1])),
            }
            for name, pair in groups.items()
        },
    }


def _won(pair: tuple[Doubles, Doubles]) -> float:
    """Return in how many pairs the fake scores above the real clip (sorted); a tie counts half."""
    fake, real = pair
    below = np.searchsorted(real, fake, "left") + np.searchsorted(real, fake, "right")
    return float(below.sum()) / 2
