"""The clips that `avdetect benchmark` judges, drawn, so that no recording of anyone is needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from avdetect.example import example_frames, example_waveform
from extractors.clip import Frames
from extractors.media import write_clip

WIDTH, HEIGHT, FPS = 1280, 720, 30.0
TALK_RATE = 1400  # kbit/s, about that of a talk on a video site


def write_wall(path: Path, seconds: int) -> None:
    """Write a face before a textured wall that moves: every block of every frame is coded anew."""
    frames = _enlarged(example_frames(float(seconds), FPS))
    noise = np.random.default_rng(0).integers(-12, 12, (HEIGHT, WIDTH, 3), dtype=np.int16)
    for index, frame in enumerate(frames):
        frame[:] = np.clip(frame + np.roll(noise, index, axis=1), 0, 255)
    write_clip(path, frames, example_waveform(float(seconds)), fps=FPS, crf=23)


def write_talk(path: Path, seconds: int) -> None:
    """Write a talking head before a room that stands still, at the bit rate of real talks.

    A decoder skips most blocks of the room, as it does in real video; a little of the camera's
    noise is left in the others.
    """
    drawn = example_frames(float(seconds), FPS, size=(HEIGHT // 2, WIDTH // 2), scale=0.26)
    behind = np.abs(drawn.astype(np.int16) - drawn[:, :, :1]).max(axis=3) < 3  # (T, h, w)
    frames, room = _enlarged(drawn), _room()
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 3, (HEIGHT, WIDTH, 1)).astype(np.int16)
    for frame, wall in zip(frames, behind, strict=True):
        mask = cv2.resize(wall.astype(np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
        grain = np.roll(noise, tuple(generator.integers(0, HEIGHT, 2)), axis=(0, 1))
        frame[:] = np.clip(np.where(mask[..., None], room, frame) + grain, 0, 255)
    limit = {"maxrate": f"{TALK_RATE}k", "bufsize": f"{TALK_RATE}k"}
    write_clip(path, frames, example_waveform(float(seconds)), fps=FPS, crf=18, options=limit)


# the second is what real video costs
CLIPS: dict[str, Callable[[Path, int], None]] = {"wall": write_wall, "talk": write_talk}


def _enlarged(frames: Frames) -> Frames:
    """Return frames (T, 720, 1280, 3) of smaller ones (T, h, w, 3)."""
    large = np.empty((len(frames), HEIGHT, WIDTH, 3), np.uint8)
    for frame, small in zip(large, frames, strict=True):
        cv2.resize(small, (WIDTH, HEIGHT), dst=frame, interpolation=cv2.INTER_LINEAR)
    return large


def _room() -> Frames:
    """Return a still (720, 1280, 3) with structure of all sizes, as of shelves and curtains."""
    generator = np.random.default_rng(1)
    room = np.full((HEIGHT, WIDTH, 3), (150.0, 158.0, 150.0), np.float32)
    for side in (4, 16, 64, 256):  # 1/f: each octave of detail has the same contrast
        coarse = generator.normal(0, 9, (side * HEIGHT // WIDTH, side, 3)).astype(np.float32)
        room += cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    still: Frames = np.clip(room, 0, 255).astype(np.uint8)
    return still
