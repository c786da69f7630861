"""Things drawn over the mouth of a genuine face: a mask, a microphone, a hand, an object.

They teach and test what notices that a mouth cannot be seen (`extractors.covered_mouth`); a cover
is no forgery.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from extractors.clip import Array, Frames
from extractors.covered_mouth import SKIN
from extractors.lips import LIPS

LOWER_FACE = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397,
              288, 361, 323, 454, 5)  # fmt: skip
TINTS = ((190, 215, 235), (235, 235, 235), (30, 30, 35), (60, 90, 140))
FINGERS = 4
FULL = (1.0,)  # of a mask

Layer = tuple[Array, Array]  # colours (H, W, 3) and where they cover (H, W), 0 to 1


def covered(
    frames: Frames, landmarks: Array, kind: str, rng: np.random.Generator, steps: range
) -> Frames:
    """Return a copy of frames (T, H, W, 3) with a cover of a kind of `COVERS` over some steps.

    Args:
        frames: with one face.
        landmarks: of it (T, 478, 3), in pixels.
        kind: which cover.
        rng: draws its colour and place.
        steps: that are covered.
    """
    result = frames.copy()
    size = float(np.ptp(landmarks[..., 0], axis=1).mean())
    draw = COVERS[kind](frames.shape[1:3], size, rng)
    still = landmarks[:, LIPS, :2].mean(axis=(0, 1))
    shift = rng.normal(0, 0.02 * size, 2)
    for t in steps:
        middle = still if kind == "microphone" else landmarks[t, LIPS, :2].mean(axis=0) + shift
        colours, mask = draw(frames[t], landmarks[t, :, :2], middle)
        share = cv2.GaussianBlur(mask, (0, 0), 1.0)[..., None]
        layer = colours + rng.normal(0, 3, colours.shape)
        result[t] = (frames[t] * (1 - share) + layer * share).clip(0, 255)
    return result


Draw = Callable[[Frames, Array, Array], Layer]  # a frame, its landmarks and the cover's middle


def _mask(shape: Sequence[int], size: float, rng: np.random.Generator) -> Draw:
    tint = np.array(TINTS[rng.integers(len(TINTS))], np.float32)

    def draw(frame: Frames, points: Array, middle: Array) -> Layer:
        mask = np.zeros(shape, np.float32)
        cv2.fillPoly(mask, [points[list(LOWER_FACE)].astype(np.int32)], FULL)
        shade = 1 - 0.25 * np.abs(np.arange(shape[1]) - middle[0]) / size
        return (tint * shade[None, :, None] * np.ones((*shape, 1))).astype(np.float32), mask

    return draw


def _microphone(shape: Sequence[int], size: float, rng: np.random.Generator) -> Draw:
    down = rng.uniform(0, 0.06) * size

    def draw(frame: Frames, points: Array, middle: Array) -> Layer:
        x, y = middle[0], middle[1] + down
        mask = np.zeros(shape, np.float32)
        cv2.ellipse(mask, _at(x, y), _at(0.3 * size, 0.33 * size), 0, 0, 360, FULL, -1)
        corners = _at(x - 0.1 * size, y), _at(x + 0.1 * size, shape[0])
        cv2.rectangle(mask, *corners, FULL, -1)
        rows, columns = np.indices(shape)
        away = (columns - x + 0.1 * size) ** 2 + (rows - y + 0.1 * size) ** 2
        grey = 40 + 25 * ((rows + columns) // 3 % 2) + 60 * np.exp(-away / (0.1 * size) ** 2)
        return np.repeat(grey[..., None], 3, axis=2).astype(np.float32), mask

    return draw


def _hand(shape: Sequence[int], size: float, rng: np.random.Generator) -> Draw:
    light = rng.uniform(0.8, 1.1)

    def draw(frame: Frames, points: Array, middle: Array) -> Layer:
        x, y = points[list(SKIN)].astype(np.int64).T
        skin = np.median(frame[y.clip(0, shape[0] - 1), x.clip(0, shape[1] - 1)], axis=0) * light
        colours, mask = np.zeros((*shape, 3), np.float32) + skin, np.zeros(shape, np.float32)
        for finger in range(FINGERS):
            out = finger - (FINGERS - 1) / 2
            tip = _at(middle[0] + 0.16 * out * size, middle[1] - 0.18 * size)
            root = _at(middle[0] + 0.21 * out * size, middle[1] + 0.55 * size)
            cv2.line(mask, tip, root, FULL, max(2, int(0.15 * size)))
            if finger:
                edge = _at(middle[0] + 0.16 * (out - 0.5) * size, middle[1] - 0.2 * size)
                end = (edge[0], edge[1] + int(0.6 * size))
                cv2.line(colours, edge, end, tuple(0.7 * skin), max(1, int(0.02 * size)))
        palm = _at(middle[0], middle[1] + 0.55 * size)
        cv2.ellipse(mask, palm, _at(0.42 * size, 0.35 * size), 0, 0, 360, FULL, -1)
        return colours.astype(np.float32), mask

    return draw


def _object(shape: Sequence[int], size: float, rng: np.random.Generator) -> Draw:
    blobs = rng.integers(0, 255, (6, 8, 3)).astype(np.uint8)
    colours = cv2.resize(blobs, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)

    def draw(frame: Frames, points: Array, middle: Array) -> Layer:
        mask = np.zeros(shape, np.float32)
        reach = np.array([0.42, 0.36]) * size
        cv2.rectangle(mask, _at(*(middle - reach)), _at(*(middle + reach)), FULL, -1)
        return colours.astype(np.float32), mask

    return draw


def _at(x: float, y: float) -> tuple[int, int]:
    return int(x), int(y)


COVERS = {"mask": _mask, "microphone": _microphone, "hand": _hand, "object": _object}
