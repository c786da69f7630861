"""Timelines in, what all judges together say of their clip and of their steps out."""

from __future__ import annotations

import torch
from torch import Tensor

from pipelines.detector import Detector
from pipelines.timelines import Timeline


def clip_logit(timeline: Timeline, modality: int, detector: Detector, mask: Tensor | None) -> float:
    """Return a timeline's clip logit of one modality, over the steps of a mask (T,)."""
    with torch.inference_mode():
        device = detector.calibration.device
        steps = torch.ones(len(timeline.opinions), dtype=torch.bool) if mask is None else mask
        logits = detector.clip_logits(timeline.opinions[None].to(device), steps[None].to(device))
    return float(logits[0, modality])


def step_probabilities(timeline: Timeline, detector: Detector) -> Tensor:
    """Return what all judges together say of a timeline's steps (T, 3)."""
    with torch.inference_mode():
        opinions = timeline.opinions[None].to(detector.calibration.device)
        every = torch.ones(opinions.shape[:2], dtype=torch.bool, device=opinions.device)
        return detector.step_logits(opinions, every)[0].sigmoid().cpu()
