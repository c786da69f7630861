"""Operators of compression and transmission of pictures, by severity.

The form of an operator is described in `pipelines.stress.operators.picture`.
"""

from __future__ import annotations

import cv2
import numpy as np

from extractors.clip import Frames
from extractors.media import reencode_frames
from pipelines.stress.operators.picture import AnyPixels, FrameChange, Maker, at, each


def _jpeg(severity: int, rng: np.random.Generator) -> FrameChange:
    quality = int(at(severity, 80, 60, 40, 20, 8))
    return each(lambda frame: _coded(frame, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality))


def _webp(severity: int, rng: np.random.Generator) -> FrameChange:
    quality = int(at(severity, 80, 60, 40, 20, 5))
    return each(lambda frame: _coded(frame, ".webp", cv2.IMWRITE_WEBP_QUALITY, quality))


def _coded(frame: Frames, suffix: str, flag: int, quality: int) -> AnyPixels:
    _, data = cv2.imencode(suffix, frame[..., ::-1], [flag, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


def _rescale(severity: int, rng: np.random.Generator) -> FrameChange:
    return rescaled(at(severity, 0.75, 0.5, 0.35, 0.25, 0.15))


def rescaled(share: float) -> FrameChange:
    """Return a change that downscales frames by a factor and upscales them to their old size."""

    def change(frame: Frames) -> AnyPixels:
        height, width = frame.shape[:2]
        small = max(round(width * share), 1), max(round(height * share), 1)
        less = cv2.resize(frame, small, interpolation=cv2.INTER_AREA)
        return cv2.resize(less, (width, height), interpolation=cv2.INTER_LINEAR)

    return each(change)


def _h264(severity: int, rng: np.random.Generator) -> FrameChange:
    crf = int(at(severity, 23, 28, 33, 38, 45))
    return lambda frames: reencode_frames(frames, crf)


def _frame_drop(severity: int, rng: np.random.Generator) -> FrameChange:
    """Repeat a frame in place of the next, with a probability by severity."""
    share = at(severity, 0.05, 0.1, 0.2, 0.3, 0.5)
    last: list[Frames] = []  # across chunks

    def change(frames: Frames) -> Frames:
        out = frames.copy()
        for index in range(len(out)):
            if rng.random() < share and (index or last):
                out[index] = out[index - 1] if index else last[0]
        last[:] = [out[-1]]
        return out

    return change


CODING: dict[str, Maker] = {
    "jpeg": _jpeg,
    "webp": _webp,
    "rescale": _rescale,
    "h264": _h264,
    "frame_drop": _frame_drop,
}
