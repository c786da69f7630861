"""Measurements of a face on its crops, flow and landmarks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from extractors.clip import Array
from extractors.media import STEP_RATE

MIN_BLINK_STEPS = 75  # of a face, for a rate of blinks: 3 s
SHUT = 0.65  # share of the eyes' usual opening, below which they are shut
BLINK = (2, 12)  # steps that a blink lasts; eyes shut for longer look down or sleep
# Upper lid, lower lid and the corners of both eyes: the subject's right, then the left.
EYES = ((159, 145, 33, 133), (386, 374, 263, 362))
NOISE_KERNEL = ((1.0, -2.0, 1.0), (-2.0, 4.0, -2.0), (1.0, -2.0, 1.0))  # Immerkaer 1996


def flow_residual(flow: Tensor, on_face: Tensor) -> Tensor:
    """Return the mean deviation (T,) of flow (T, 2, 56, 56) from its local mean on the face.

    on_face: (T, 1, 56, 56), 1 or 0. In percent of a crop's width a second.
    """
    smooth = functional.avg_pool2d(flow.float(), 7, 1, 3, count_include_pad=False)
    rough = (flow.float() - smooth).norm(dim=1, keepdim=True) * on_face
    return 100 * rough.sum((1, 2, 3)) / on_face.sum((1, 2, 3)).clamp(min=1)


def noise_gap(appearance: Tensor, on_face: Tensor) -> Tensor:
    """Return log2 (T,) of the noise level on the face over that around it; NaN: no surroundings.

    Of crops (T, 3, 112, 112), by Immerkaer's operator, which hardly responds to edges and slopes.
    """
    grey = appearance.float().mean(dim=1, keepdim=True)
    kernel = torch.tensor(NOISE_KERNEL)[None, None]
    noise = functional.conv2d(grey, kernel, padding=1).abs()
    inner = functional.interpolate(1 - functional.max_pool2d(1 - on_face, 5, 1, 2), scale_factor=2)
    outer = functional.interpolate(1 - functional.max_pool2d(on_face, 5, 1, 2), scale_factor=2)
    levels = [
        (noise * part).sum((1, 2, 3)) / part.sum((1, 2, 3)).clamp(min=1) for part in (inner, outer)
    ]
    gap = torch.log2((levels[0] + 0.1) / (levels[1] + 0.1))
    return torch.where(outer.sum((1, 2, 3)) > 0, gap, torch.nan)


def eye_opening(landmarks: Array) -> Array:
    """Return the eye opening (T,), height by width, of the wider open eye of (T, 478, 3)."""
    ratios = []
    for upper, lower, outer, inner in EYES:
        height = np.linalg.norm(landmarks[:, upper] - landmarks[:, lower], axis=-1)
        width = np.linalg.norm(landmarks[:, outer] - landmarks[:, inner], axis=-1)
        ratios.append(height / np.maximum(width, 1e-6))
    opening: Array = np.maximum(*ratios).astype(np.float32)
    return opening


def blink_rate(opening: Array) -> float | None:
    """Return the blinks a minute of eye openings (T,); None where there are too few steps."""
    measured = opening[np.isfinite(opening)]
    if len(measured) < MIN_BLINK_STEPS:
        return None
    usual = np.percentile(measured, 75)
    shut = np.diff(np.r_[0, (measured < SHUT * usual).astype(np.int8), 0])
    lengths = np.flatnonzero(shut < 0) - np.flatnonzero(shut > 0)
    blinks = np.sum((lengths >= BLINK[0]) & (lengths <= BLINK[1]))
    return float(blinks * STEP_RATE * 60 / len(measured))
