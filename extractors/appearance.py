"""The appearance stream: crops of a face (T, 3, 112, 112) uint8, eyes level, or of a scene."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from extractors.clip import Array, Frames
from extractors.crops import crop_square

SIDE = 112  # pixels of a crop


def face_crops(frames: Sequence[Frames], squares: Array) -> Frames:
    """Return face crops (T, 112, 112, 3) of frames (T, H, W, 3) and squares (T, 4)."""
    return np.stack([crop_square(f, s, (SIDE, SIDE)) for f, s in zip(frames, squares, strict=True)])


def scene_crops(frames: Sequence[Frames]) -> Frames:
    """Return whole frames resized to a crop's shape (T, 112, 112, 3), where there is no face."""
    return np.stack([cv2.resize(f, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for f in frames])
