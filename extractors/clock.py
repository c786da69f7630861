"""The one clock: everything after decoding is counted in steps of 1/25 second.

Step t covers the seconds [t / 25, (t + 1) / 25). Its frame is the one on screen at its middle,
(t + 0.5) / 25, and its sound is the 640 samples that it covers at 16 kHz.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

STEP_RATE = 25  # steps a second
SAMPLE_RATE = 16_000  # samples of sound a second
SAMPLES_PER_STEP = SAMPLE_RATE // STEP_RATE

TOLERANCE = 1.4e-3  # seconds; Matroska rounds times to whole milliseconds


def count_steps(seconds: float) -> int:
    """Return the number of steps whose middle lies before ``seconds``, at least one."""
    return max(1, math.ceil((seconds - TOLERANCE) * STEP_RATE - 0.5))


def step_middle(step: int) -> float:
    """Return the middle of step ``step`` in seconds, with the tolerance added."""
    return (step + 0.5) / STEP_RATE + TOLERANCE


def frames_on_screen(times: npt.NDArray[np.float64], steps: range) -> npt.NDArray[np.int64]:
    """Return the index of the frame on screen at the middle of each of ``steps``.

    ``times`` are the frames' presentation times in seconds, ascending. Steps before the first
    frame's time show the first frame.
    """
    middles = (np.arange(steps.start, steps.stop) + 0.5) / STEP_RATE + TOLERANCE
    shown = np.searchsorted(times, middles, side="right") - 1
    return np.clip(shown, 0, len(times) - 1).astype(np.int64)
