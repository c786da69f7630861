"""Ranking of measurements by their balanced accuracy, each at a threshold of its own.

Source: Chen et al., X2-DFD, 2024, whose features are questions to a language model; here they are
the measurements of `pipelines.evidence.measurements`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
import torch

from extractors.clip import Array
from fusion.heads.closed import best_threshold

DRAWS = 2000  # of the bootstrap
STRONG = 0.6  # balanced accuracy that the 95 % interval of a strong feature clears


class Separation(TypedDict):
    """How well one threshold on a measurement separates fakes from genuine clips."""

    threshold: float
    balanced_accuracy: float  # on clips that were held out
    balanced_accuracy_interval: list[float]  # of 95 %


def separation(
    fitted: tuple[Array, Array], held_out: tuple[Array, Array], larger: bool
) -> Separation:
    """Return the best threshold of fitted clips, and its balanced accuracy on clips held out.

    On the clips that it was fitted on, a threshold on noise would separate them as well. The
    interval is the bootstrap over clips of each class: as those above a fixed threshold are
    binomial, it needs no clip drawn.

    Args:
        fitted: values of genuine clips and of fakes.
        held_out: the same of other clips.
        larger: whether fakes have the larger values.
    """
    sign = 1.0 if larger else -1.0
    real, fake = (torch.from_numpy(sign * np.asarray(values, np.float64)) for values in fitted)
    own = torch.cat([torch.zeros(len(real)), torch.ones(len(fake))]) > 0
    level = float(best_threshold(torch.cat([real, fake]), own))
    genuine, forged = (sign * np.asarray(values) for values in held_out)
    shares = float((genuine < level).mean()), float((forged >= level).mean())
    random = np.random.default_rng(0)
    drawn = [
        random.binomial(len(values), share, DRAWS) / len(values)
        for values, share in zip((genuine, forged), shares, strict=True)
    ]
    low, high = np.quantile((drawn[0] + drawn[1]) / 2, (0.025, 0.975))
    return {
        "threshold": sign * level,
        "balanced_accuracy": sum(shares) / 2,
        "balanced_accuracy_interval": [float(low), float(high)],
    }


def ranked(found: Mapping[str, Separation]) -> list[str]:
    """Return the names of measurements, the one of highest balanced accuracy first."""
    return sorted(found, key=lambda name: -found[name]["balanced_accuracy"])


def is_strong(found: Separation) -> bool:
    """Return whether the interval of a measurement's balanced accuracy clears `STRONG`."""
    return found["balanced_accuracy_interval"][0] > STRONG


def ranking_table(found: Mapping[str, Separation]) -> str:
    """Return the ranking as Markdown."""
    lines = ["| measurement | threshold | balanced accuracy (95 %) | strong |", "|---|---|---|---|"]
    for name in ranked(found):
        row = found[name]
        low, high = row["balanced_accuracy_interval"]
        lines.append(
            f"| {name} | {row['threshold']:.4g} | {row['balanced_accuracy']:.2f} "
            f"({low:.2f}–{high:.2f}) | {'yes' if is_strong(row) else 'no'} |"
        )
    return "\n".join(lines) + "\n"
