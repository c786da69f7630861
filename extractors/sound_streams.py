"""A waveform in, the sound's streams out: log-mel power, and how likely each step is speech."""

from __future__ import annotations

from torch import Tensor

from extractors.clip import Array
from extractors.spectrogram import MelExtractor
from extractors.speech import SpeechExtractor


class SoundExtractor:
    """Streams of a waveform that comes in pieces."""

    def __init__(self) -> None:
        self._mel, self._speech = MelExtractor(), SpeechExtractor()

    def __call__(self, waveform: Array) -> dict[str, Tensor]:
        """Return `mel` (T, 80, 4) and `speech` (T,) of whole steps of waveform (T * 640,)."""
        return {"mel": self._mel(waveform), "speech": self._speech(waveform)}
