"""How well a face can be seen at each step: change, light, detail, and whether its lips are.

Networks do not see these values: they tell which of the streams can be believed.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from extractors.clip import Array, Frames
from extractors.covered_mouth import covered_mouth
from extractors.crops import crop_square
from extractors.lips import LIPS

COARSE = 28  # pixels a side: what codecs add to a frame that is repeated averages out
COVER_EVERY = 5  # steps of the file from one look for a covered mouth to the next
INSIDE = np.s_[24:92, 24:88]  # of a crop: skin, eyes and mouth, no background


class FaceMeasures:
    """Measures of one face; keeps its last crop between calls."""

    def __init__(self) -> None:
        self._last: tuple[Frames, Array] | None = None  # crop and its square

    def __call__(
        self,
        frames: Sequence[Frames],
        crops: Frames,
        squares: Array,
        landmarks: Array,
        first: int = 0,
    ) -> dict[str, Tensor]:
        """Return the measures (T,) of a face by name, see `extractors.streams.Streams`.

        Args:
            frames: T frames (H, W, 3).
            crops: the face (T, h, w, 3) in them.
            squares: where the crops lie (T, 4).
            landmarks: (T, 478, 3) in pixels of the frames.
            first: step of the file at which the frames begin.
        """
        change = []
        for frame, crop, square in zip(frames, crops, squares, strict=True):
            change.append(np.nan if self._last is None else _change(frame, *self._last))
            self._last = crop, square
        grey = [cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[INSIDE] for crop in crops]
        height, width = frames[0].shape[:2]
        x, y = landmarks[:, LIPS, 0], landmarks[:, LIPS, 1]
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        covered = np.full(len(crops), np.nan, np.float32)
        looks = slice(-first % COVER_EVERY, None, COVER_EVERY)
        if len(crops[looks]):
            covered[looks] = covered_mouth(crops[looks], squares[looks], landmarks[looks])
        values = {
            "change": change,
            "brightness": [np.median(face) for face in grey],
            "detail": [_detail(face) for face in grey],
            "lips_inside": inside.mean(axis=1),
            "lips_covered": covered,
        }
        return {n: torch.from_numpy(np.asarray(v, np.float32)) for n, v in values.items()}


def _change(frame: Frames, last: Frames, square: Array) -> float:
    """Return by how many grey levels a frame differs from the last crop, where that lies.

    Both are cut at the same place, so that a repeated frame differs by nothing, however the face
    was followed.
    """
    now = crop_square(frame, square, (last.shape[0], last.shape[1]))
    return float(np.abs(_coarse(now) - _coarse(last)).mean())


def _coarse(crop: Frames) -> Array:
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(grey, (COARSE, COARSE), interpolation=cv2.INTER_AREA)
    return small  # type: ignore[return-value]


def _detail(grey: Frames) -> float:
    """Return the share of a face's (h, w) detail below 3 pixels that is below 1 pixel."""
    values = grey.astype(np.float32)
    fine, all_ = (np.abs(values - cv2.GaussianBlur(values, (0, 0), s)).mean() for s in (1, 3))
    return float(fine / (all_ + 0.1))
