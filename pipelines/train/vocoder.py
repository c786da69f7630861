"""Adversarial training of a neural vocoder on genuine speech."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from extractors.clock import SAMPLES_PER_STEP
from pipelines.forge.sound.neural_vocoder import LEVEL, Vocoder, log_mel_magnitude
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run, fit
from pipelines.train.stage import StageConfig

ALONE = 0.6  # share of the updates before the adversarial loss is added
RESOLUTIONS = ((256, 50), (512, 100), (1024, 200), (2048, 400))  # window and hop, samples
HEARD = ((256, 64), (512, 128), (1024, 256))  # the discriminator's
HELD_OUT, LONGEST = 20, 48_000  # held-out clips that are measured, and samples of each


class Discriminator(nn.Module):
    """Networks over complex spectra of several resolutions (Jang et al. 2021; Défossez 2022)."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.networks = nn.ModuleList([_spectrum_network(width) for _ in HEARD])

    def forward(self, waveform: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return logits, high where sound is genuine, and features of waveforms (B, S)."""
        logits, features = [], []
        for (size, hop), network in zip(HEARD, self.networks, strict=True):
            x = _compressed(_stft(waveform, size, hop) / size**0.5)
            *hidden, last = network.children()
            for layer in hidden:
                x = functional.leaky_relu(layer(x), 0.1)
                features.append(x)
            logits.append(last(x))
        return logits, features


def _spectrum_network(width: int) -> nn.ModuleList:
    def layer(channels: int, out: int, reach: int) -> nn.Module:
        return weight_norm(nn.Conv2d(channels, out, (reach, 3), (2, 1), (reach // 2, 1)))

    return nn.ModuleList(
        [layer(2, width, 9), layer(width, width, 9), layer(width, 2 * width, 5),
         layer(2 * width, 2 * width, 5), weight_norm(nn.Conv2d(2 * width, 1, 3, padding=1))]
    )  # fmt: skip


def _compressed(spectrum: Tensor) -> Tensor:
    """Return real and imaginary parts (B, 2, F, M) at the square root of their magnitude."""
    parts = torch.stack([spectrum.real, spectrum.imag], dim=1)
    return parts * (parts.square().sum(dim=1, keepdim=True) + 1e-7).pow(-0.25)


def _stft(waveform: Tensor, size: int, hop: int) -> Tensor:
    window = torch.hann_window(size, device=waveform.device)
    return torch.stft(waveform, size, hop, size, window, return_complex=True)


@dataclass(frozen=True, eq=False)
class Speech:
    """Genuine stretches (B, S), and whether the adversarial loss applies."""

    waveforms: Tensor
    judged: bool


class Rivals(nn.Module):
    """The vocoder and its discriminator, trained together."""

    def __init__(self) -> None:
        super().__init__()
        self.vocoder, self.discriminator = Vocoder(), Discriminator()
        self.fine = log_mel_magnitude(60, 512, 128)

    def loss(self, speech: Speech) -> Tensor:
        """Return the sum of both losses; each has gradients for its own network alone."""
        true = speech.waveforms
        made = self.vocoder(true)
        mels = (self.vocoder.mel, self.fine)
        loss = spectral_loss(made, true)
        loss = loss + 5 * sum((mel(made) - mel(true)).abs().mean() for mel in mels)
        return loss + self._rivalry(made, true) if speech.judged else loss

    def _rivalry(self, made: Tensor, true: Tensor) -> Tensor:
        half = (len(true) + 1) // 2  # the discriminator costs most; half of the batch is enough
        made, true = made[:half], true[:half]
        genuine, known = self.discriminator(true)
        caught, _ = self.discriminator(made.detach())
        loss = made.new_zeros(())
        for yes, no in zip(genuine, caught, strict=True):  # hinge (Lim & Ye 2017)
            loss = loss + ((1 - yes).relu().mean() + (1 + no).relu().mean()) / len(genuine)
        self.discriminator.requires_grad_(False)
        passed, seen = self.discriminator(made)
        self.discriminator.requires_grad_(True)
        for opinion in passed:
            loss = loss - opinion.mean() / len(passed)
        for a, b in zip(seen, known, strict=True):  # feature matching (Kumar et al. 2019)
            b = b.detach()
            loss = loss + 2 * (a - b).abs().mean() / (b.abs().mean() + 1e-3) / len(seen)
        return loss


def spectral_loss(made: Tensor, true: Tensor) -> Tensor:
    """Return the multi-resolution STFT loss of waveforms (B, S), 0 if their magnitudes are equal.

    Spectral convergence plus the distance of log magnitudes (Yamamoto et al. 2020).
    """
    loss = made.new_zeros(())
    for size, hop in RESOLUTIONS:
        a, b = (_stft(x, size, hop).abs().clamp(min=1e-5) for x in (made, true))
        apart = (a - b).norm(dim=(1, 2)) / (b.norm(dim=(1, 2)) + 1.0)  # silence counts little
        loss = loss + apart.mean() + ((a + 1e-3).log() - (b + 1e-3).log()).abs().mean()
    return loss / len(RESOLUTIONS)


def genuine_speech(clips: Sequence[TrainClip], steps: int) -> list[tuple[TrainClip, Tensor]]:
    """Return the clips with `steps` or more of genuine sound, and their waveforms (T * 640,)."""
    return [
        (c, c.waveform)
        for c in clips
        if c.waveform is not None
        and c.sample.audio == ()
        and len(c.waveform) >= steps * SAMPLES_PER_STEP
    ]


def train_vocoder(clips: dict[str, list[TrainClip]], config: StageConfig, run: Run) -> Vocoder:
    """Return a vocoder trained on the genuine speech of the training clips alone."""
    train, val = (
        [waveform for _, waveform in genuine_speech(clips[split], config.length)]
        for split in ("train", "val")
    )
    run.log(stage="vocoder", train=len(train), val=len(val))
    run = Run(run.folder, run.seed, run.device, "float32", run.team)  # spectra need the precision
    rivals = Rivals().to(run.device)

    def batches(first: int, last: int) -> Iterator[Speech]:
        for update in range(first, last):
            rng = np.random.default_rng((run.seed, update, run.team.rank))
            picks = rng.integers(0, len(train), config.batch)
            drawn = torch.stack([_stretch(train[i], config.length, rng) for i in picks])
            yield Speech(drawn, update >= ALONE * config.updates)

    def loss_of(module: Rivals, speech: Speech) -> Tensor:
        return module.loss(Speech(speech.waveforms.to(run.device), speech.judged))

    def score_of(module: Rivals) -> float:
        return -mel_distance(module.vocoder, val, run.device)

    fit("vocoder", rivals, config, run, batches, loss_of, score_of)
    return rivals.vocoder.to("cpu")


@torch.no_grad()
def mel_distance(vocoder: Vocoder, waveforms: Sequence[Tensor], device: str) -> float:
    """Return the mean log-mel distance, in nepers, of resynthesised speech to the original."""
    apart = []
    for waveform in waveforms[:HELD_OUT]:
        true = _levelled(waveform[:LONGEST], LEVEL).to(device)[None]
        apart.append(float((vocoder.mel(vocoder(true)) - vocoder.mel(true)).abs().mean()))
    return float(np.mean(apart)) if apart else 0.0


def _stretch(waveform: Tensor, steps: int, rng: np.random.Generator) -> Tensor:
    """Return a random stretch (S,) of a waveform (T * 640,) int16, at a random level."""
    samples = steps * SAMPLES_PER_STEP
    begin = int(rng.integers(0, len(waveform) - samples + 1))
    level = 10 ** (rng.uniform(-30, -14) / 20)  # dB of full scale
    return _levelled(waveform[begin : begin + samples], level)


def _levelled(waveform: Tensor, level: float) -> Tensor:
    sound = waveform.float() / 32768
    return (sound * level / sound.square().mean().sqrt().clamp(min=1e-3)).clamp(-1, 1)
