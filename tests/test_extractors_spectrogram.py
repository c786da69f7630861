"""Mel spectra: tones, clicks and pieces whose answer is known."""

from __future__ import annotations

import numpy as np
import torch

from avdetect.example import example_waveform
from extractors.media import SAMPLE_RATE, SAMPLES_PER_STEP
from extractors.spectrogram import BANDS, HOP, MelExtractor, log_mel, loudness, speech_steps


def test_a_tone_peaks_in_its_own_mel_band() -> None:
    time = np.arange(SAMPLE_RATE, dtype=np.float32) / SAMPLE_RATE
    centres = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), BANDS + 2) / 2595) - 1)
    for band in (10, 40, 70):
        tone = (0.3 * np.sin(2 * np.pi * centres[band + 1] * time)).astype(np.float32)
        mel = log_mel(tone)[5:-1].mean(dim=(0, 2))
        assert abs(int(mel.argmax()) - band) <= 1


def test_no_column_hears_a_sound_before_it_begins() -> None:
    begin = 13  # step
    waveform = np.zeros(25 * SAMPLES_PER_STEP, np.float32)
    waveform[begin * SAMPLES_PER_STEP :] = np.random.default_rng(0).normal(
        0, 0.3, (25 - begin) * SAMPLES_PER_STEP
    )
    level = loudness(log_mel(waveform))
    silence = float(level[0])
    assert torch.all(level[:begin] == silence)
    assert float(level[begin]) > silence + 3


def test_mel_in_pieces_is_mel_at_once() -> None:
    waveform = np.random.default_rng(0).normal(0, 0.1, 20 * SAMPLES_PER_STEP).astype(np.float32)
    extractor = MelExtractor()
    pieces = [extractor(waveform[a:b]) for a, b in ((0, 640), (640, 640 * 7), (640 * 7, 640 * 20))]
    torch.testing.assert_close(torch.cat(pieces), log_mel(waveform))
    assert HOP == 160


def test_silence_holds_no_speech_and_a_voice_does() -> None:
    silent = loudness(log_mel(np.zeros(50 * SAMPLES_PER_STEP, np.float32)))
    assert not speech_steps(silent).any()
    voice = example_waveform(3.0)
    speech = speech_steps(loudness(log_mel(voice)))
    assert 0.3 < speech.float().mean() < 0.95
