"""Scores, proposals and reach along a file, of all that was judged of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipelines.detection.detector import Detector
from pipelines.detection.timelines import Timeline, step_probabilities
from temporal.segment import MODALITIES


def file_curves(
    steps: int, judged: Sequence[tuple[Timeline, int, Tensor]], detector: Detector
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a file's step scores (T, 3; NaN: not judged), proposals (T, K, 3) and their reach.

    Where several faces are seen, a step takes the most suspect one.

    Args:
        steps: T.
        judged: timelines, the column of `MODALITIES` that each was judged in, and at which of its
            own steps.
        detector: what judged them.
    """
    scales = len(detector.config.localization.dilations)
    probs = torch.full((steps, len(MODALITIES)), torch.nan)
    proposals = torch.zeros(steps, scales, len(MODALITIES))
    reach = torch.zeros(steps, scales, len(MODALITIES), 2)
    for timeline, m, where in judged:
        mine = step_probabilities(timeline, detector)[:, m]
        span = slice(timeline.start, timeline.stop)
        take = where & ~(probs[span, m] >= mine)  # also where nothing was judged yet: NaN
        probs[span, m] = torch.where(take, mine, probs[span, m])
        proposals[span, :, m] = torch.where(
            take[:, None], timeline.proposals[..., m], proposals[span, :, m]
        )
        reach[span, :, m] = torch.where(
            take[:, None, None], timeline.reach[:, :, m], reach[span, :, m]
        )
    return probs, proposals, reach
