"""Blending of forged pixels into a face, with matched colours, soft edges and kept light."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from extractors.clip import Array, Floats, Frames
from pipelines.forge.picture.geometry import (
    Box,
    MaskShape,
    drift,
    face_width,
    smooth_in_time,
    soft_mask,
)

FLICKER_SHARE = 0.2  # share of the forgeries whose warp or colour jitters from frame to frame


# A step and a box of the frame -> the forged pixels, (h, w, 3) float32.
Painter = Callable[[int, Box], Array]


def blend_in(
    frames: Frames,
    landmarks: Array,
    start: int,
    stop: int,
    shape: MaskShape,
    paint: Painter,
    opacity: float,
    shading: float,
) -> Frames:
    """Return frames with the pixels of `paint` softly blended into a region of the face.

    shading: share of the painted face's own light and colour that is kept. Below 1 the low
    frequencies come from the frame, as in gradient-domain (Poisson) blending.
    """
    forged = frames.copy()
    for step in range(start, stop):
        box, mask = soft_mask(landmarks[step], shape, frames.shape[1:3])
        if mask.size == 0:
            continue
        left, top, right, bottom = box
        own = frames[step, top:bottom, left:right].astype(np.float32)
        difference = paint(step, box) - own
        if shading < 1:
            difference -= (1 - shading) * _large_scale(difference, mask)
        mixed = own + (opacity * mask)[..., None] * difference
        forged[step, top:bottom, left:right] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    return forged


def _large_scale(difference: Array, mask: Array) -> Array:
    """Return the masked average of a difference (h, w, 3) around each pixel."""
    height, width = mask.shape
    size = (max(width // 4, 1), max(height // 4, 1))
    weight = mask[..., None] + 1e-3
    small = cv2.resize(
        np.concatenate([difference * weight, weight], -1), size, interpolation=cv2.INTER_AREA
    )
    wide = cv2.GaussianBlur(small, (0, 0), max(0.12 * size[0], 0.5))
    average = wide[..., :3] / wide[..., 3:]
    return np.asarray(cv2.resize(average, (width, height), interpolation=cv2.INTER_LINEAR))


def steady_landmarks(landmarks: Array, rng: np.random.Generator, strength: float) -> Array:
    """Return landmarks (T, 478, 3) low-passed in time, or jittered in a share of the calls."""
    steady = smooth_in_time(landmarks, float(rng.uniform(0.6, 1.5)))
    if rng.random() < FLICKER_SHARE:
        size = face_width(landmarks[0]) * (0.002 + 0.008 * strength)
        steady = steady + rng.normal(0, size, (len(landmarks), 1, 3)).astype(np.float32)
    return steady


def draw_colours(
    rng: np.random.Generator, steps: int, strength: float
) -> Callable[[Array, int], Array]:
    """Return a function that recolours a crop (h, w, 3) at a step: gain, shift and saturation."""
    gain = 1 + strength * rng.normal(0, 0.06, 3)
    shift = strength * (rng.normal(0, 7) + rng.normal(0, 3, 3))
    saturation = 1 + strength * float(rng.uniform(-0.5, 0.4))
    mixing = saturation * np.eye(3) + (1 - saturation) * np.tile([0.299, 0.587, 0.114], (3, 1))
    matrix = (gain[:, None] * mixing).astype(np.float32)
    drifting = strength * 1.5 * drift(rng, steps)
    if rng.random() < FLICKER_SHARE:
        drifting = drifting + strength * rng.normal(0, 2.5, steps)

    def recolour(crop: Array, k: int) -> Array:
        offset = (shift + drifting[k]).astype(np.float32)
        return np.asarray(crop @ matrix.T + offset, np.float32)

    return recolour


def colour_match(
    source: Floats, target: Floats, mask: Array, share: float
) -> tuple[Floats, Floats]:
    """Return the gain and shift (3,) that give a source the target's colours within a mask."""
    weight = (mask / max(float(mask.sum()), 1e-6))[..., None]

    def moments(image: Floats) -> tuple[Floats, Floats]:
        mean = (weight * image).sum(axis=(0, 1))
        return mean, np.sqrt((weight * (image - mean) ** 2).sum(axis=(0, 1))) + 1.0

    source_mean, source_spread = moments(source)
    target_mean, target_spread = moments(target)
    gain = 1 + share * (np.clip(target_spread / source_spread, 0.5, 1.8) - 1)
    return gain, source_mean + share * (target_mean - source_mean) - gain * source_mean
