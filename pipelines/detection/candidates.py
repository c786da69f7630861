"""Segments of three tracks in, one ranking of the stretches where anything was manipulated out.

For metrics that rank proposals across videos; what a person is told are the segments themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from extractors.media import STEP_RATE
from temporal.proposals import soft_nms
from temporal.segment import MODALITIES, Segment

CANDIDATES = 100  # as many as AR@100 looks at
CONSIDERED = 10 * CANDIDATES  # of the segments, the best: bounds the time that a long video takes
LEAST = 1e-3  # score
CERTAIN = 1e-4  # step scores are taken to be at least so far from 0 and 1


def best_candidates(
    segments: Sequence[Segment], timeline: npt.NDArray[np.float32], sigma: float
) -> list[Segment]:
    """Return at most `CANDIDATES` stretches, best first; two tracks' claims to one count once.

    A segment's score is multiplied by how likely it is that it differs from the rest of its own
    track: the sigmoid of the mean step logit inside less that outside. One half where there is no
    outside. Then the tracks' segments suppress each other (soft-NMS).

    Args:
        segments: of all tracks, best first.
        timeline: (T, 3) step scores, NaN where a track was not judged.
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
    """The area under a track's step logits, to average over any stretch of it."""

    def __init__(self, curve: npt.NDArray[np.float32]) -> None:
        judged = ~np.isnan(curve)
        sure = np.where(judged, curve, 0.5).astype(float).clip(CERTAIN, 1 - CERTAIN)
        self.logits = np.append(0.0, np.cumsum(np.log(sure / (1 - sure)) * judged))
        self.steps = np.append(0.0, np.cumsum(judged))

    def differs(self, start: float, end: float) -> float:
        """Return from 0 to 1 how likely it is that a stretch in seconds differs from the rest."""
        grid = np.arange(len(self.steps))
        edges = np.array([start, end]) * STEP_RATE
        inside, steps = (
            float(np.diff(np.interp(edges, grid, area))[0]) for area in (self.logits, self.steps)
        )
        rest, others = self.logits[-1] - inside, self.steps[-1] - steps
        if min(steps, others) < 1:
            return 0.5
        return float(1 / (1 + np.exp(rest / others - inside / steps)))
