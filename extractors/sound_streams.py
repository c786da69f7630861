"""A waveform in, the sound's streams out: log-mel power, and how likely each step is speech."""

from __future__ import annotations

import torch
from torch import Tensor

from extractors.added_streams import SAMPLES
from extractors.clip import Array
from extractors.clock import SAMPLES_PER_STEP
from extractors.spectrogram import MelExtractor
from extractors.speech import SpeechExtractor


class SoundExtractor:
    """Streams of a waveform that comes in pieces."""

    def __init__(self, samples: bool = False) -> None:
        """Make an extractor; with `samples` it keeps them beside the streams."""
        self._samples = samples
        self._mel, self._speech = MelExtractor(), SpeechExtractor()

    def __call__(self, waveform: Array) -> dict[str, Tensor]:
        """Return `mel` (T, 80, 4) and `speech` (T,) of whole steps of waveform (T * 640,)."""
        heard = {"mel": self._mel(waveform), "speech": self._speech(waveform)}
        if self._samples:
            heard[SAMPLES] = torch.from_numpy(waveform).reshape(-1, SAMPLES_PER_STEP).float()
        return heard
