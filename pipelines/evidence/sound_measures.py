"""Measurements of the sound, alone or against the lips."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from extractors.clip import Array
from extractors.media import SAMPLE_RATE, SAMPLES_PER_STEP, STEP_RATE
from extractors.spectrogram import BANDS, FLOOR

MIN_STEPS = 50  # of a face or of speech, for a measurement to mean anything: 2 s
MAX_LAG = 12  # steps to either side: 0.48 s
TREND = 50  # steps to either side of the moving mean that is subtracted from lips and loudness
PITCH = (60.0, 400.0)  # Hz
PITCH_WINDOW = 1024  # samples: 64 ms
ROLL_OFF = 0.95  # of the power below it


def lip_sync(lips: Array, level: Array) -> dict[str, float]:
    """Return `lip_fit`, and `lip_lag` in ms, of lip openings (T,) and loudness (T,); NaN: unknown.

    The fit is the highest correlation at lags up to 80 ms. The lag is that of the highest
    correlation at any lag, and left out where that is low. Empty if too few steps are known.
    """
    steps = min(len(lips), len(level))
    x, y = lips[:steps], level[:steps]
    valid = np.isfinite(x) & np.isfinite(y)
    if valid.sum() < MIN_STEPS + 2 * MAX_LAG:
        return {}
    x, y = _without_trend(x, valid), _without_trend(y, valid)
    lags = np.arange(-MAX_LAG, MAX_LAG + 1)
    fits = np.array([_correlation(x, y, valid, int(lag)) for lag in lags])
    measured = {"lip_fit": float(fits[np.abs(lags) <= 2].max())}
    if fits.max() > 0.2:
        measured["lip_lag"] = float(abs(lags[fits.argmax()])) * 1000 / STEP_RATE
    return measured


def _without_trend(values: Array, valid: Any) -> Array:
    """Return values (T,) minus their moving mean; 0 where they are not valid."""
    kernel, here = np.ones(2 * TREND + 1), slice(TREND, TREND + len(values))
    total = np.convolve(np.where(valid, values, 0.0), kernel)[here]
    count = np.convolve(valid.astype(float), kernel)[here]
    result: Array = np.where(valid, values - total / np.maximum(count, 1), 0.0).astype(np.float32)
    return result


def _correlation(x: Array, y: Array, valid: Any, lag: int) -> float:
    """Return the correlation of x at a step with y `lag` steps later."""
    a, b = (x[: len(x) - lag], y[lag:]) if lag >= 0 else (x[-lag:], y[:lag])
    both = (valid[: len(x) - lag] & valid[lag:]) if lag >= 0 else (valid[-lag:] & valid[:lag])
    a, b = a[both], b[both]
    spread = float(a.std() * b.std())
    return float(np.mean((a - a.mean()) * (b - b.mean()))) / spread if spread > 1e-9 else 0.0


def periodicity(waveform: Array) -> Array:
    """Return the periodicity (T,) in [0, 1] of each step of a waveform (T * 640,): 1 is a tone.

    The highest autocorrelation at a lag of the human pitch, in 64 ms around the step's middle,
    over that at lag 0, corrected for the lag's shorter overlap (Boersma 1993, without his window).
    """
    side = (PITCH_WINDOW - SAMPLES_PER_STEP) // 2
    padded = np.pad(waveform, side)
    starts = np.arange(len(waveform) // SAMPLES_PER_STEP) * SAMPLES_PER_STEP
    frames = padded[starts[:, None] + np.arange(PITCH_WINDOW)]
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(frames, 2 * PITCH_WINDOW, axis=1)) ** 2
    auto = np.fft.irfft(power, axis=1)[:, :PITCH_WINDOW]
    low, high = round(SAMPLE_RATE / PITCH[1]), round(SAMPLE_RATE / PITCH[0])
    overlap = 1 - np.arange(low, high) / PITCH_WINDOW
    peak = (auto[:, low:high] / overlap).max(axis=1)
    result: Array = (peak / (auto[:, 0] + PITCH_WINDOW * 1e-8)).clip(0, 1).astype(np.float32)
    return result


def roll_off(mel: Tensor) -> Array:
    """Return the frequency (T,) in kHz below which 95 % of log-mel power (T, 80, 4) lies."""
    power = (mel.exp() - FLOOR).clamp(min=0).sum(dim=2)  # (T, 80)
    share = power.cumsum(dim=1) / power.sum(dim=1, keepdim=True).clamp(min=1e-12)
    band = (share < ROLL_OFF).sum(dim=1).clamp(max=BANDS - 1)
    result: Array = (band_centres()[band.numpy()] / 1000).astype(np.float32)
    return result


def band_centres() -> Array:
    """Return the centre frequencies (80,) of the mel bands in Hz, on torchaudio's HTK scale."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    mels = np.linspace(0, top, BANDS + 2)[1:-1]
    result: Array = (700 * (10 ** (mels / 2595) - 1)).astype(np.float32)
    return result
