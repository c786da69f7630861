"""Whether a face's mouth is covered: by a hand, a microphone, a mask.

The face mesh draws lips where lips should be, seen or not. What lies there tells: lips are redder
and darker than the skin around them, with a dark line or a mouth's inside between them; a hand, a
mask or a microphone has none of that, or is not of the face's colour. A logistic regression on
these contrasts was fitted on covers drawn over genuine faces (`pipelines.train.fit_covered_mouth`).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from extractors.clip import Array, Frames
from extractors.crops import face_coordinates

WEIGHTS = Path(__file__).with_name("covered_mouth.json")
# Landmarks of MediaPipe's mesh: places on skin that no beard covers, and the lips' contours around.
SKIN = (50, 101, 118, 117, 36, 205, 280, 330, 347, 346, 266, 425, 5, 4, 195, 151, 9)
OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
AROUND = 1.25, np.array([1.5, 2.0])  # sizes, in the lips', between which lies the skin around them
PROFILE = 20  # rows from above the upper lip to below the lower one
SPAN = 40.0  # grey levels (and of colour) beyond which a contrast is not larger
MARKS = 7 + 4 * PROFILE


def covered_mouth(crops: Frames, squares: Array, landmarks: Array) -> Array:
    """Return the logit (T,) that the mouth is covered, of a face crop at each step.

    Args:
        crops: (T, h, h, 3) RGB.
        squares: where they lie (T, 4), see `extractors.crops.crop_squares`.
        landmarks: (T, 478, 3) in pixels of the frames.
    """
    mean, weights, bias = _regression()
    logits: Array = ((mouth_marks(crops, squares, landmarks) - mean) @ weights + bias).astype(
        np.float32
    )
    return logits


def mouth_marks(crops: Frames, squares: Array, landmarks: Array) -> Array:
    """Return the contrasts (T, 87) of mouth and skin, in grey levels; see `covered_mouth`."""
    points = (face_coordinates(landmarks, squares)[..., :2] + 0.5) * crops.shape[1]
    return np.stack([_marks(*pair) for pair in zip(crops, points, strict=True)])


@cache
def _regression() -> tuple[Array, Array, float]:
    fitted = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    mean, weights = (np.array(fitted[name], np.float32) for name in ("mean", "weights"))
    return mean, weights, float(fitted["bias"])


def _marks(crop: Frames, points: Array) -> Array:
    """Return the contrasts (87,) of one crop (h, h, 3) by its landmarks (478, 2) in pixels."""
    colours = cv2.cvtColor(crop, cv2.COLOR_RGB2LAB).astype(np.float32)
    smooth = cv2.GaussianBlur(colours, (0, 0), 1.0).astype(np.float32)
    outer, inner = points[list(OUTER)], points[list(INNER)]
    centre = outer.mean(axis=0)
    mouth, inside = _filled(outer, colours), _filled(inner, colours)
    near, far = (_filled(centre + (outer - centre) * size, colours) for size in AROUND)
    lips, skin = mouth & ~inside, far & ~near
    lips = lips if lips.sum() >= 5 else mouth
    if lips.sum() < 3 or skin.sum() < 3:
        return np.zeros(MARKS, np.float32)
    x, y = _pixels(points[list(SKIN)], colours)
    face = np.median(cv2.blur(colours, (5, 5))[y, x], axis=0)
    around = colours[skin].mean(axis=0)
    light, red = (colours[lips].mean(axis=0) - around)[:2]
    other, spread = around - face, colours[skin].std(axis=0)
    marks = [
        np.clip(red, -5, 12), abs(np.clip(red, -5, 5)), np.clip(light, -30, 10),
        abs(np.clip(light, -10, 10)), min(np.hypot(*other[1:]), 30),
        min(spread[0], 40), np.clip(other[0], -80, 40),
    ]  # fmt: skip
    profile = (_profile(smooth, outer, inner) - around)[:, :2].T.ravel().clip(-SPAN, SPAN)
    return np.concatenate([marks, profile, np.abs(profile)]).astype(np.float32)


def _profile(colours: Array, outer: Array, inner: Array) -> Array:
    """Return the colours (20, 3) down through the mouth's middle, at rows that follow the lips."""
    left, right = outer[:, 0].min(), outer[:, 0].max()
    top, bottom = outer[:, 1].min(), outer[:, 1].max()
    middle = (inner[:, 1].min() + inner[:, 1].max()) / 2
    margin = max(bottom - top, 2) / 2
    rows = np.concatenate([
        top - margin * np.arange(6, 0, -1) / 6, np.linspace(top, middle, 5)[:-1],
        np.linspace(middle, bottom, 5), bottom + margin * np.arange(1, 6) / 5,
    ])  # fmt: skip
    columns = left + (right - left) * np.linspace(0.3, 0.7, 5)
    x, y = _pixels(np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2), colours)
    found: Array = colours[y, x].reshape(PROFILE, 5, 3).mean(axis=1)
    return found


def _filled(outline: Array, like: Array) -> npt.NDArray[np.bool_]:
    mask = np.zeros(like.shape[:2], np.uint8)
    cv2.fillPoly(mask, [outline.round().astype(np.int32)], (1,))
    return mask.astype(bool)


def _pixels(points: Array, image: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the columns and rows (P,) of an image's pixels nearest to points (P, 2)."""
    x, y = points.round().astype(np.int64).T
    return x.clip(0, image.shape[1] - 1), y.clip(0, image.shape[0] - 1)
