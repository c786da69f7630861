"""The mel stream: log-mel power (T, 80, 4) of a waveform, four 10 ms columns per step."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchaudio.transforms import MelSpectrogram

from extractors.clip import Array
from extractors.media import SAMPLE_RATE, SAMPLES_PER_STEP

BANDS = 80
COLUMNS = 4  # a step
HOP = SAMPLES_PER_STEP // COLUMNS
WINDOW = 400  # samples: 25 ms
FLOOR = 1e-6  # power added before the logarithm, about 80 dB below full-scale speech
SPEECH_RANGE = 3.0  # nepers of power below the clip's loud parts that still count as speech


class MelExtractor:
    """Log-mel power of a waveform that arrives in pieces; keeps the overlap with the next window.

    A column's window ends with its hop, so that no column contains a sound before its time (a
    centred window would show it up to 12.5 ms early, in the step before).
    """

    def __init__(self) -> None:
        self._mel = MelSpectrogram(
            SAMPLE_RATE, n_fft=WINDOW, hop_length=HOP, n_mels=BANDS, power=2.0, center=False
        )
        self._tail = torch.zeros(WINDOW - HOP)

    def __call__(self, waveform: Array | Tensor) -> Tensor:
        """Return log-mel power (T, 80, 4) of whole steps of waveform (T * 640,)."""
        if not isinstance(waveform, Tensor):
            waveform = torch.from_numpy(np.ascontiguousarray(waveform))
        samples = torch.cat([self._tail, waveform])
        self._tail = samples[len(samples) - (WINDOW - HOP) :].clone()
        columns = (self._mel(samples) + FLOOR).log()  # (80, T * 4)
        return columns.unflatten(1, (-1, COLUMNS)).transpose(0, 1).contiguous()  # (T, 80, 4)


def log_mel(waveform: Array | Tensor) -> Tensor:
    """Return log-mel power (T, 80, 4) of a whole waveform (T * 640,) at 16 kHz.

    Differentiable for a tensor.
    """
    return MelExtractor()(waveform)


def loudness(mel: Tensor) -> Tensor:
    """Return the loudness (T,) of log-mel power (T, 80, 4): the mean of its bands, in nepers."""
    return mel.mean(dim=(1, 2))


def speech_steps(level: Tensor) -> Tensor:
    """Return a mask (T,) of the steps that may be speech, by loudness (T,) alone.

    Steps within `SPEECH_RANGE` of the clip's 95th percentile; a silent clip has none.
    """
    loud = torch.quantile(level, 0.95)
    audible = loud > np.log(FLOOR) + 1.0
    return (level > loud - SPEECH_RANGE) & audible
