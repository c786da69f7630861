"""What is taken for speech: voices, and neither noise nor tones nor tunes."""

from __future__ import annotations

import csv
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

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
