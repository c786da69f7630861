"""Measurements of sound and lips: signals whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from extractors.media import SAMPLE_RATE
from extractors.spectrogram import log_mel
from pipelines.evidence.sound_measures import lip_sync, periodicity, roll_off


def syllables(steps: int, shift: int = 0) -> np.ndarray[Any, Any]:
    """(T,) float32: bumps at random steps, the same for every shift."""
    bumps = np.random.default_rng(1).random(steps + 40)
    smooth = np.convolve(bumps, np.hanning(9), "same")
    return smooth[20 - shift : 20 - shift + steps].astype(np.float32)


@pytest.mark.parametrize("lag", [0, 3, -7])
def test_the_lag_of_lips_and_loudness_is_found_in_either_direction(lag: int) -> None:
    found = lip_sync(syllables(200), syllables(200, lag))
    assert found["lip_lag"] == abs(lag) * 40
    assert (found["lip_fit"] > 0.9) == (abs(lag) <= 2)


def test_unknown_steps_do_not_shift_the_lag_and_too_few_give_none() -> None:
    lips, level = syllables(200), syllables(200, 3)
    lips[:40] = np.nan
    assert lip_sync(lips, level)["lip_lag"] == 120
    assert lip_sync(lips[:90], level[:90]) == {}


def test_a_tone_is_periodic_and_noise_is_not() -> None:
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * 150 * times).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.3, SAMPLE_RATE).astype(np.float32)
    assert periodicity(tone).shape == (25,)
    assert periodicity(tone)[1:-1].min() > 0.95
    assert periodicity(noise).max() < 0.6
    assert periodicity(np.zeros(SAMPLE_RATE, np.float32)).max() == 0


def test_the_roll_off_of_two_tones_is_the_higher_one() -> None:
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    sound = np.sin(2 * np.pi * 300 * times) + 0.5 * np.sin(2 * np.pi * 4000 * times)
    rolled = roll_off(log_mel(sound.astype(np.float32)))
    assert rolled.shape == (25,)
    assert rolled[5:] == pytest.approx(4.0, abs=0.15)
