"""`avdetect benchmark`: the time of each stage on an example clip, against plain decoding."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
from rich.table import Table

from avdetect.example import example_frames, example_waveform
from extractors.decoding.picture import decode_plainly
from extractors.media import write_clip

if TYPE_CHECKING:
    from pipelines.detection.session import DetectorSession

WIDTH, HEIGHT, FPS = 1280, 720, 30.0
PLAIN = "plain decoding"


def measure(session: DetectorSession, seconds: int, runs: int) -> dict[str, float]:
    """Return median seconds of each stage, and of plain decoding of the same file.

    Both are timed in turn, so that a machine that slows down slows both. A first run, which is not
    counted, warms caches and loads lazy imports.
    """
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "example.mp4"
        write_example(clip, seconds)
        session.detect(clip)
        elapsed = []
        for _ in range(runs):
            begin = time.perf_counter()
            decode_plainly(clip)
            plain = time.perf_counter() - begin
            stages = cast("dict[str, float]", session.detect(clip).elapsed)
            elapsed.append({PLAIN: plain, **stages})
    return {stage: median(run[stage] for run in elapsed) for stage in elapsed[0]}


def write_example(path: Path, seconds: int) -> None:
    """Write a 1280x720 clip of 30 frames a second with one face, sound and a textured wall."""
    drawn = example_frames(float(seconds), FPS)
    noise = np.random.default_rng(0).integers(-12, 12, (HEIGHT, WIDTH, 3), dtype=np.int16)
    frames = np.empty((len(drawn), HEIGHT, WIDTH, 3), np.uint8)
    for index, frame in enumerate(drawn):
        large = cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        frames[index] = np.clip(large + np.roll(noise, index, axis=1), 0, 255)
    write_clip(path, frames, example_waveform(float(seconds)), fps=FPS, crf=23)


def timings_table(timings: Mapping[str, float], seconds: int) -> Table:
    """Return the timings as a table for a terminal."""
    table = Table(
        "stage", "seconds", "of plain decoding", "times real time", box=None, padding=(0, 2, 0, 0)
    )
    for stage, taken in timings.items():
        share, speed = taken / timings[PLAIN], seconds / max(taken, 1e-9)
        table.add_row(stage, f"{taken:.2f}", f"{share:.2f}", f"{speed:.1f}")
    return table
