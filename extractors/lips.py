"""The lips' two streams: lip landmarks in face coordinates, and grey mouth crops."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from extractors.clip import Array, Frames
from extractors.crops import crop_square, face_coordinates, smooth
from extractors.faces import FaceConfig

MOUTH = (48, 96)  # height, width of a mouth crop in pixels
MOUTH_WIDTH = 0.5  # of the face crop's side
# MediaPipe's lip contours: outer then inner, upper then lower, from the subject's right.
OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 146, 91, 181, 84, 17, 314, 405, 321, 375)
INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 95, 88, 178, 87, 14, 317, 402, 318, 324)
LIPS = OUTER + INNER
UPPER_INNER, LOWER_INNER = LIPS.index(13), LIPS.index(14)


def lip_landmarks(landmarks: Array, squares: Array) -> Array:
    """Return lip landmarks (T, 40, 3) in face coordinates: the face crop spans [-0.5, 0.5]."""
    return face_coordinates(landmarks[:, LIPS], squares)


def mouth_squares(landmarks: Array, squares: Array, config: FaceConfig) -> Array:
    """Return mouth squares (T, 4) around the lips of landmarks (T + 2 * radius, 478, 3)."""
    centre = smooth(landmarks[:, LIPS, :2].mean(axis=1), config)
    return np.column_stack([centre, squares[:, 2] * MOUTH_WIDTH, squares[:, 3]]).astype(np.float32)


def mouth_crops(frames: Sequence[Frames], squares: Array) -> Frames:
    """Return grey mouth crops (T, 48, 96) of frames (T, H, W, 3)."""
    crops = (crop_square(f, s, MOUTH) for f, s in zip(frames, squares, strict=True))
    return np.stack([cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in crops])


def lip_opening(lips: Array) -> Array:
    """Return the inner lips' distance (T,) in crop widths of lip landmarks (T, 40, 3)."""
    gap: Array = np.linalg.norm(lips[:, UPPER_INNER] - lips[:, LOWER_INNER], axis=-1)
    return gap
