"""Values that pass from stage to stage check themselves, and say what is wrong with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from extractors.clip import Clip
from pipelines.detection.detector import DetectorOutputs
from pipelines.detection.timelines import Timeline
from pipelines.train.batches import Batch


def test_a_clip_is_bytes_in_colour_and_float_sound() -> None:
    frames = np.zeros((2, 4, 6, 3), np.uint8)
    Clip(0, frames, np.zeros(1280, np.float32))
    with pytest.raises(ValueError, match=r"Clip\.frames must be T H W 3 uint8.* \(2, 4, 6\) uint8"):
        Clip(0, frames[..., 0], None)
    with pytest.raises(ValueError, match=r"got \(2, 4, 6, 3\) float32"):
        Clip(0, frames.astype(np.float32), None)
    with pytest.raises(ValueError, match=r"Clip\.waveform must be S float32.* float64"):
        Clip(0, frames, np.zeros(1280))


def test_the_curves_of_a_timeline_have_one_length() -> None:
    timeline = Timeline(
        None, False, 0, frozenset({"mel"}), None, None,
        torch.zeros(9, 4), torch.zeros(9, 5, 3), torch.zeros(9, 5, 3, 2), torch.zeros(9),
    )  # fmt: skip
    replace(timeline, loudness=None)
    for name, curve in (("proposals", torch.zeros(8, 5, 3)), ("reach", torch.zeros(9, 4, 3, 2))):
        with pytest.raises(ValueError, match=rf"Timeline\.{name} must be"):
            replace(timeline, **{name: curve})


def test_outputs_of_the_detector_belong_to_the_same_steps() -> None:
    with pytest.raises(ValueError, match="where N = 2, L = 7, J = 4, K = 5, got"):
        DetectorOutputs(torch.zeros(2, 7, 4), torch.zeros(2, 7, 5, 3), torch.zeros(2, 7, 5, 3))


def test_a_batch_has_a_mask_of_its_clips_and_steps() -> None:
    targets, mask = torch.zeros(2, 7, 3), torch.ones(2, 7, dtype=torch.bool)
    Batch({"flow": torch.zeros(2, 7, 2, 8, 8)}, targets, mask)
    with pytest.raises(ValueError, match=r"Batch\.mask must be B L bool"):
        Batch({}, targets, mask.float())
    with pytest.raises(ValueError, match=r"stream flow must be of \(2, 7\)"):
        Batch({"flow": torch.zeros(2, 6, 2, 8, 8)}, targets, mask)
