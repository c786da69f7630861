"""Waveforms of the same words, brought into time with each other."""

from __future__ import annotations

import numpy as np

from extractors.clip import Array
from extractors.clock import SAMPLE_RATE

LEAST_ALIKE = 0.8  # correlation of the loudness of a recording and its resynthesis
ENVELOPE = SAMPLE_RATE // 100  # samples, the grain of that comparison
FARTHEST = 30  # grains by which a resynthesis may be late or early


def aligned(waveform: Array, made: Array) -> Array | None:
    """Return a resynthesis (S,) of a recording (S,) in time with it; None if it does not follow it.

    It may be late or early by up to 0.3 s; what it lacks at either end is taken from the recording.
    """
    one, other = _envelope(waveform), _envelope(made)
    count = min(len(one), len(other)) - 2 * FARTHEST
    if abs(len(one) - len(other)) > 2 * FARTHEST or count < 50:
        return None
    middle = one[FARTHEST : FARTHEST + count]
    alike = [
        float(np.corrcoef(middle, other[lag : lag + count])[0, 1])
        for lag in range(min(2 * FARTHEST + 1, len(other) - count + 1))
    ]
    best = int(np.argmax(alike))
    if not alike[best] >= LEAST_ALIKE:
        return None
    shift = (best - FARTHEST) * ENVELOPE + _fine(waveform, made, (best - FARTHEST) * ENVELOPE)
    moved = waveform.copy()
    low, high = max(-shift, 0), min(len(made) - shift, len(waveform))
    moved[low:high] = made[low + shift : high + shift]
    return moved


def _fine(waveform: Array, made: Array, shift: int) -> int:
    """Return the samples, less than a grain, by which the waveforms correlate best."""
    low, high = max(-shift, 0) + ENVELOPE, min(len(made) - shift, len(waveform)) - ENVELOPE
    pieces = {
        d: made[low + shift + d : high + shift + d] for d in range(-ENVELOPE, ENVELOPE + 1, 2)
    }
    return max(pieces, key=lambda d: float(np.dot(waveform[low:high], pieces[d])))


def _envelope(waveform: Array) -> Array:
    """Return the log loudness (M,) of every grain."""
    whole = waveform[: len(waveform) // ENVELOPE * ENVELOPE].reshape(-1, ENVELOPE)
    level: Array = np.log(np.sqrt((whole**2).mean(axis=1)) + 1e-3)
    return level
