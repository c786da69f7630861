"""A file and its result in, a copy with boxes, segments and a bar drawn into the picture out.

Chunk by chunk: memory does not grow with the file. The copy has 25 frames a second and the sound
that was judged, mono at 16 kHz.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from extractors.clip import Array, Frames
from extractors.encoding import ClipWriter
from extractors.media import open_media
from pipelines.detection.result import Result
from pipelines.report.lanes import fused
from pipelines.report.wording import MODALITIES, clock
from pipelines.storage.files import write_by

QUALITY = {"crf": "20", "preset": "veryfast"}
SOUND_RATE = 64_000  # bits a second
WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (214, 39, 40)


def burn_in(
    result: Result,
    video: str | PathLike[str],
    boxes: Mapping[int, tuple[int, Array]],
    out: Path,
) -> None:
    """Write the annotated copy of a video to `out`, an MP4, whole or not at all.

    Args:
        result: of schema 1.
        video: the file that was judged, which has a picture.
        boxes: of its faces, see `pipelines.evidence.recorder.Evidence`.
        out: the copy.

    Raises:
        MediaError: the file cannot be read.
    """
    curve = np.nan_to_num(fused(result["timeline"]))
    judged = {face["track"] for face in result["faces"]}
    known = {track: box for track, box in boxes.items() if track in judged}

    def write(partial: Path) -> None:
        with open_media(video) as reader, ClipWriter(str(partial), QUALITY, SOUND_RATE) as writer:
            for clip in reader:
                frames = [] if clip.frames is None else list(clip.frames)
                drawn = [
                    annotated(frame, clip.start + i, result, known, curve)
                    for i, frame in enumerate(frames)
                ]
                writer.write(drawn, clip.waveform)

    write_by(out, write)


def annotated(
    frame: Frames,
    step: int,
    result: Result,
    boxes: Mapping[int, tuple[int, Array]],
    curve: npt.NDArray[np.floating[Any]],
) -> Frames:
    """Return a frame (H, W, 3) with the boxes of its step, a bar of scores (T,), and the segments.

    The bar runs along the lower edge: red as high as the score, a white line at the step.
    """
    import cv2

    picture = np.ascontiguousarray(frame)
    height, width = picture.shape[:2]
    thick, bar = max(1, round(height / 360)), max(8, height // 16)
    for track, (first, squares) in boxes.items():
        if first <= step < first + len(squares):
            corners = _corners(squares[step - first], width)
            cv2.polylines(picture, [corners], True, BLACK, 3 * thick, cv2.LINE_AA)
            cv2.polylines(picture, [corners], True, WHITE, thick, cv2.LINE_AA)
            left, bottom = corners[:, 0].min(), corners[:, 1].max()
            _write(picture, f"face {track}", (left + 4 * thick, min(bottom, height - bar)), thick)
    _draw_bar(picture[height - bar :], step, curve, thick)
    for line, text in enumerate(_lines(step, result)):
        _write(picture, text, (4 * thick, (line + 1) * 20 * thick), thick)
    return picture


def _corners(square: Array, width: int) -> npt.NDArray[np.int32]:
    """Return the corners (4, 2) in pixels of a square (x, y, side, roll) in parts of the width."""
    x, y, side, roll = (float(v) for v in square)
    cos, sin = np.cos(roll), np.sin(roll)
    half = side / 2 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    turned = half @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
    corners: npt.NDArray[np.int32] = (turned * width).round().astype(np.int32)
    return corners


def _draw_bar(strip: Frames, step: int, curve: npt.NDArray[np.floating[Any]], thick: int) -> None:
    """Draw the scores (T,) into a strip (h, W, 3) of a frame, and a line at the step."""
    bar, width = strip.shape[:2]
    strip[:] = strip // 3
    columns = curve[(np.arange(width) * len(curve)) // width]
    rows = np.arange(bar)[:, None] >= bar * (1 - columns)[None]
    strip[rows] = RED
    at = int((step + 0.5) / max(len(curve), 1) * width)
    strip[:, max(at - thick, 0) : at + thick] = WHITE


def _lines(step: int, result: Result) -> list[str]:
    """Return what is written into a step's frame."""
    time = (step + 0.5) / result["timeline"]["rate"]
    lines = [clock(time)]
    for segment in result["segments"]:
        if segment["start"] <= time < segment["end"]:
            words = MODALITIES[segment["modality"]]
            lines.append(f"{words}: fake, {segment['score']:.2f}")
    return lines


def _write(picture: Frames, text: str, at: tuple[int, int], thick: int) -> None:
    import cv2

    place = (max(int(at[0]), 2), max(int(at[1]) - 4, 14 * thick))
    for colour, width in ((BLACK, 3 * thick), (WHITE, thick)):
        cv2.putText(
            picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * thick, colour, width, cv2.LINE_AA
        )
