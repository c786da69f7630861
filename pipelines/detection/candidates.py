"""Candidate segments: one ranking of the segments of all modalities.

For metrics that rank proposals across videos; reports show the segments themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from extractors.media import STEP_RATE
from temporal.proposals import soft_nms
from temporal.segment import MODALITIES, Segment

CANDIDATES = 100  # as many as AR@100 considers
CONSIDERED = 10 * CANDIDATES  # best segments that are ranked: bounds the time for a long video
LEAST = 1e-3  # candidates of lower score are dropped
CERTAIN = 1e-4  # step scores are clipped to this distance from 0 and 1


def best_candidates(
    segments: Sequence[Segment], timeline: npt.NDArray[np.float32], sigma: float
) -> list[Segment]:
    """Return at most `CANDIDATES` segments, best first, without duplicates across modalities.

    A segment's score is multiplied by the probability that it differs from the rest of its own
    modality: the sigmoid of the mean step logit inside minus that outside, or one half where there
    is no outside. Then segments of all modalities suppress each other (soft-NMS).

    Args:
        segments: of all modalities, best first.
        timeline: (T, 3) step scores, NaN where a modality was not judged.
        sigma: of soft-NMS.
    """
    some = segments[:CONSIDERED]
    if not some:
        return []
    areas = [_Area(timeline[:, column]) for column in range(len(MODALITIES))]
    spans = np.array([[s.start, s.end] for s in some])
    scores = [s.score * areas[MODALITIES.index(s.modality)].differs(s.start, s.end) for s in some]
    kept, final = soft_nms(spans, np.array(scores), sigma, LEAST)
    chosen = zip(kept[:CANDIDATES], final[:CANDIDATES], strict=True)
    return [replace(some[index], score=float(score)) for index, score in chosen]


class _Area:
    """The cumulative sum of a modality's step logits, for the mean over any segment."""

    def __init__(self, curve: npt.NDArray[np.float32]) -> None:
        judged = ~np.isnan(curve)
        sure = np.where(judged, curve, 0.5).astype(float).clip(CERTAIN, 1 - CERTAIN)
        self.logits = np.append(0.0, np.cumsum(np.log(sure / (1 - sure)) * judged))
        self.steps = np.append(0.0, np.cumsum(judged))

    def differs(self, start: float, end: float) -> float:
        """Return the probability that a segment, in seconds, differs from the rest."""
        grid = np.arange(len(self.steps))
        edges = np.array([start, end]) * STEP_RATE
        inside, steps = (
            float(np.diff(np.interp(edges, grid, area))[0]) for area in (self.logits, self.steps)
        )
        rest, others = self.logits[-1] - inside, self.steps[-1] - steps
        if min(steps, others) < 1:
            return 0.5
        return float(1 / (1 + np.exp(rest / others - inside / steps)))
