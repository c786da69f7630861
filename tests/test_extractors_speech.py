"""What is taken for speech: voices, and neither noise nor tones nor tunes."""

from __future__ import annotations

import csv
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from avdetect.example import example_waveform
from extractors.media import read_chunks
from extractors.speech import SpeechExtractor

RATE, STEP = 16_000, 640
TIMES = np.arange(8 * RATE) / RATE


def pink() -> np.ndarray:
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=len(TIMES)))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    noise = np.fft.irfft(spectrum)
    return 0.1 * noise / noise.std()


def tune() -> np.ndarray:
    """Plucked notes of a scale, four a second, with five harmonics each."""
    note = (TIMES // 0.25).astype(int) % 8
    pitch = 220 * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12])[note] / 12)
    harmonics = sum(np.sin(2 * np.pi * pitch * h * TIMES) / h for h in range(1, 6))
    return 0.3 * np.exp(-4 * (TIMES % 0.25)) * harmonics


def violin() -> np.ndarray:
    """A held note of eleven harmonics, with vibrato."""
    phase = 2 * np.pi * np.cumsum(300 * (1 + 0.02 * np.sin(2 * np.pi * 5.5 * TIMES))) / RATE
    return 0.2 * sum(np.sin(h * phase) / h for h in range(1, 12))


def sung(beat: float) -> np.ndarray:
    """Vowels sung on a scale with vibrato, a note a beat: pulses through three formants each."""
    place = (TIMES // beat).astype(int)
    pitch = 220 * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12])[place % 8] / 12)
    pitch *= 1 + 0.02 * np.sin(2 * np.pi * 5.5 * TIMES)
    pulses = np.diff(np.floor(np.cumsum(pitch) / RATE), prepend=0.0)
    source = lfilter([1], [1, -0.97], pulses) + 0.02 * np.random.default_rng(0).normal(size=128_000)
    voice = np.zeros_like(source)
    for note in range(place[-1] + 1):
        own = place == note
        vowel = source[own]
        for formant in ((730, 1090, 2440), (270, 2290, 3010), (570, 840, 2410))[note % 3]:
            r = np.exp(-np.pi * 90 / RATE)
            turn = 2 * r * np.cos(2 * np.pi * formant / RATE)
            vowel = lfilter([1 - r], [1, -turn, r * r], vowel)
        voice[own] = vowel * np.minimum(1, np.arange(len(vowel)) / 480)
    return 0.3 * voice / np.abs(voice).max()


SOUNDS = {
    "white noise": 0.1 * np.random.default_rng(0).normal(size=len(TIMES)),
    "pink noise": pink(),
    "a tune": tune(),
    "a violin": violin(),
    "a tone": 0.5 * np.sin(2 * np.pi * 440 * TIMES),
    "silence": np.zeros(len(TIMES)),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_sound_without_a_voice_is_no_speech(name: str) -> None:
    speech = SpeechExtractor()(SOUNDS[name].astype(np.float32))
    assert len(speech) == 200
    assert int((speech >= 0.5).sum()) < 5


@pytest.mark.parametrize("beat", [0.25, 0.5, 2.0])
def test_a_sung_scale_is_hardly_taken_for_speech(beat: float) -> None:
    speech = SpeechExtractor()(sung(beat).astype(np.float32))
    assert int((speech >= 0.5).sum()) < 20  # of 200 steps: vowels alone are not speech


def test_the_example_speaks() -> None:
    speech = SpeechExtractor()(example_waveform(6.0))
    assert int((speech >= 0.5).sum()) > 50


def test_pieces_say_what_the_whole_says() -> None:
    waveform = example_waveform(3.0)
    whole, extract = SpeechExtractor()(waveform), SpeechExtractor()
    cuts = (0, 1, 2, 5, 8, 41, 75)
    pieces = [extract(waveform[a * STEP : b * STEP]) for a, b in pairwise(cuts)]
    torch.testing.assert_close(torch.cat(pieces), whole, atol=1e-5, rtol=0)


@pytest.mark.data
def test_genuine_speech_is_heard(data_dir: Path) -> None:
    rows = list(csv.DictReader((data_dir / "audio" / "manifest.csv").open(encoding="utf-8")))
    files = [row["file"] for row in rows if row["label"] == "real"]
    heard = 0
    for file in random.Random(0).sample(files, 40):
        extract = SpeechExtractor()
        chunks = read_chunks(data_dir / "audio" / file)
        speech = torch.cat([extract(c.waveform) for c in chunks if c.waveform is not None])
        heard += int((speech >= 0.5).sum()) >= 10
    assert heard >= 38
