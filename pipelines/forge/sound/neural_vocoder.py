"""Resynthesis of speech by a small neural vocoder: the same words and voice.

All but the oldest synthesisers end in such a network, which has to invent what a mel spectrum
lacks. This one is trained on the training clips themselves (`pipelines/train/vocoder.py`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.transforms import MelSpectrogram

from extractors.clip import Array
from extractors.clock import SAMPLE_RATE

SIZE, HOP = 1024, 256  # samples
BANDS = 80
LEVEL = 0.06  # root mean square to which the vocoder's input is normalised
SMOOTHED = 0.3  # share of the resynthesised clips whose mel spectrum is smoothed first


def log_mel_magnitude(bands: int, size: int, hop: int) -> nn.Module:
    """Return a module that gives log-mel magnitudes (B, bands, M) of waveforms (B, S)."""
    return nn.Sequential(
        MelSpectrogram(
            SAMPLE_RATE, n_fft=size, hop_length=hop, n_mels=bands, power=1.0,
            norm="slaney", mel_scale="slaney",
        ),
        _Log(),
    )  # fmt: skip


class _Log(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(min=1e-5).log()


class Vocoder(nn.Module):
    """A small Vocos (Siuzdak 2023): ConvNeXt blocks at frame rate, then an inverse STFT."""

    def __init__(self, width: int = 192, hidden: int = 576, depth: int = 6) -> None:
        super().__init__()
        self.mel = log_mel_magnitude(BANDS, SIZE, HOP)
        self.enter = nn.Conv1d(BANDS, width, 7, padding=3)
        self.entered = nn.LayerNorm(width)
        self.blocks = nn.ModuleList([_Block(width, hidden, 1 / depth) for _ in range(depth)])
        self.leaving = nn.LayerNorm(width)
        self.leave = nn.Linear(width, SIZE + 2)
        nn.init.constant_(self.leave.bias[: SIZE // 2 + 1], -2.0)  # begins quiet

    def forward(self, waveform: Tensor) -> Tensor:
        """Return waveforms (B, S) rebuilt from their mel spectra alone."""
        return self.speak(self.mel(waveform), waveform.shape[-1])

    def speak(self, mel: Tensor, samples: int) -> Tensor:
        """Return waveforms (B, samples) of log-mel magnitudes (B, 80, M)."""
        x = self.enter(mel / 4 + 1)  # about zero mean and unit spread
        x = self.entered(x.transpose(1, 2))
        for block in self.blocks:
            x = block(x)
        log, phase = self.leave(self.leaving(x)).float().transpose(1, 2).chunk(2, dim=1)
        spectrum = torch.polar(log.exp().clamp(max=100.0), phase)
        window = torch.hann_window(SIZE, device=mel.device)
        made: Tensor = torch.istft(spectrum, SIZE, HOP, SIZE, window, length=samples)
        return made


class _Block(nn.Module):
    """A ConvNeXt block (Liu et al. 2022) along time."""

    def __init__(self, width: int, hidden: int, scale: float) -> None:
        super().__init__()
        self.mix = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.scale = nn.Parameter(scale * torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, M, W) of features (B, M, W)."""
        y = self.norm(self.mix(x.transpose(1, 2)).transpose(1, 2))
        return x + self.scale * self.narrow(functional.gelu(self.widen(y)))


@torch.inference_mode()
def respeak(vocoder: Vocoder, waveform: Array, rng: np.random.Generator) -> Array:
    """Return the vocoder's resynthesis of a waveform (S,) at the same level; silence is kept.

    Sometimes from a smoothed mel spectrum, like those that text-to-speech networks predict.
    """
    level = float(np.sqrt(np.mean(waveform**2))) if len(waveform) else 0.0
    if level < 1e-4 or len(waveform) <= SIZE:
        return waveform.copy()
    levelled = torch.from_numpy(waveform * (LEVEL / level)).clamp(-1, 1)[None]
    mel = vocoder.mel(levelled)
    if rng.random() < SMOOTHED:
        mel = smoothed(mel, float(rng.uniform(0.4, 1.0)), float(rng.uniform(0.5, 1.0)))
    made = vocoder.speak(mel, len(waveform))[0].numpy()
    gain = level / max(float(np.sqrt(np.mean(made**2))), 1e-6)
    return np.asarray(np.clip(made * gain, -1, 1), np.float32)


def smoothed(mel: Tensor, bands: float, frames: float) -> Tensor:
    """Return a log-mel spectrum (B, F, M) blurred by a Gaussian of `bands` and `frames`."""
    across = functional.pad(mel[:, None], (3, 3, 3, 3), mode="replicate")
    across = functional.conv2d(across, _bell(bands)[None, None, :, None])
    return functional.conv2d(across, _bell(frames)[None, None, None])[:, 0]


def _bell(spread: float) -> Tensor:
    kernel = torch.exp(-0.5 * (torch.arange(-3, 4) / spread) ** 2)
    return kernel / kernel.sum()
