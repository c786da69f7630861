"""What the opinions of a modality say of a clip and of its steps, where some are calibrated."""

from __future__ import annotations

import torch

from pipelines.detection.detector import Detector
from temporal.segment import MODALITIES

# Of the logit of a clip by which its steps are judged, where a localizer judges them too.
SURE, DOUBT = 1.5, 2.0


def calibrated_rows(detector: Detector, modality: str) -> list[int]:
    """Return the rows of a modality's opinions on whole clips that are already calibrated."""
    return [
        index
        for index, opinion in enumerate(detector.opinions)
        if opinion.calibrated
        and opinion.modality == modality
        and opinion.name in detector.config.whole
    ]


def leave_whole_to_calibrated(detector: Detector, modality: str) -> None:
    """Score clips by calibrated opinions alone; the others only weigh deviations within a clip.

    The others separate collections of clips as a whole, which is not evidence of forgery.
    """
    rows, column = calibrated_rows(detector, modality), MODALITIES.index(modality)
    if not rows:
        return
    others = [
        i for i, o in enumerate(detector.opinions) if o.modality == modality and not o.localizes
    ]
    detector.clip_weights[others] = 0.0
    detector.step_weights[others, 0] = 0.0
    alone = torch.tensor([1.0, 0.0]).to(detector.clip_weights) / len(rows)
    detector.clip_weights[rows] = alone
    detector.step_weights[rows] = alone
    detector.biases[:, column] = 0.0
    detector.calibration[column] = torch.tensor([1.0, 0.0]).to(detector.calibration)


def leave_steps_to_localizer(detector: Detector, modality: str) -> None:
    """Let a modality's localizer, if it has one, say which steps stand out.

    Of the other opinions only calibrated ones speak of steps, and only where they are sure: slight
    suspicion of a clip would raise all of its steps alike.
    """
    column, rows = MODALITIES.index(modality), calibrated_rows(detector, modality)
    own = [o.modality == modality and o.localizes for o in detector.opinions]
    if not any(own) or not rows:
        return
    summed = detector.belongs[:, column] > 0
    detector.step_weights[summed] = 0.0
    detector.step_weights[summed, 0] = SURE * detector.clip_weights[summed, 0]
    detector.step_weights[rows, 1] = SURE * detector.clip_weights[rows, 0]
    detector.biases[1, column] = SURE * detector.biases[0, column] - DOUBT
