"""Augmentations of streams and waveforms, applied to genuine and forged clips alike.

Every function draws its parameters once per clip, so that no augmentation adds flicker.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from extractors.encoding import reencode_waveform
from extractors.media import SAMPLE_RATE
from pipelines.forge.picture.blur import blur

CODECS = (("aac", 16_000, 48_000), ("mp3", 24_000, 64_000), ("opus", 10_000, 32_000))


def augment_streams(streams: dict[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
    """Return a clip's picture streams (L, ...), augmented; all are mirrored together or none."""
    out = _slower(streams, rng.uniform(10, 24)) if rng.random() < 0.2 else dict(streams)
    mirror = rng.random() < 0.5
    if "appearance" in out:
        out["appearance"] = retaken(out["appearance"], rng, shift=5)
    if "mouth" in out:
        out["mouth"] = retaken(out["mouth"], rng, shift=3)
    if "flow" in out:
        gain, noise = rng.uniform(0.8, 1.25), rng.uniform(0, 0.03)
        out["flow"] = out["flow"].float() * gain
        out["flow"] = out["flow"] + noise * torch.from_numpy(_noise(out["flow"].shape, rng))
    if "depth" in out:
        noise = rng.uniform(0, 0.004)
        out["depth"] = out["depth"].float() * rng.uniform(0.9, 1.1)
        out["depth"] = out["depth"] + noise * torch.from_numpy(_noise(out["depth"].shape, rng))
    if "landmarks" in out:
        noise = rng.uniform(0, 0.002)
        marks = out["landmarks"]
        out["landmarks"] = marks + noise * torch.from_numpy(_noise(marks.shape, rng))
    return _mirrored(out) if mirror else out


def _slower(streams: dict[str, Tensor], rate: float) -> dict[str, Tensor]:
    """Return a clip's streams as a source of a lower frame rate gives them, with repeated frames.

    A repeated frame has zero flow; where frames were dropped, the flows of their steps add up.
    """
    steps = torch.arange(len(next(iter(streams.values()))))
    shown = ((((steps + 0.5) * rate / 25).floor() + 0.5) * 25 / rate).long()
    shown = shown.clamp(max=len(steps) - 1)
    out = {name: s if name == "mel" else s[shown] for name, s in streams.items()}
    if "flow" in out:
        travelled = streams["flow"].float().cumsum(dim=0)[shown]
        out["flow"] = torch.diff(travelled, dim=0, prepend=travelled[:1])
    return out


def _mirrored(streams: dict[str, Tensor]) -> dict[str, Tensor]:
    out = {}
    for name, stream in streams.items():
        if name in ("appearance", "mouth", "depth", "flow"):
            out[name] = stream.flip(-1)
        elif name == "landmarks":
            out[name] = stream * torch.tensor([-1.0, 1.0, 1.0])
        else:
            out[name] = stream
    if "flow" in out:  # horizontal motion changes its sign in a mirror
        out["flow"] = out["flow"] * torch.tensor([-1.0, 1.0])[:, None, None]
    return out


def retaken(frames: Tensor, rng: np.random.Generator, shift: int) -> Tensor:
    """Return crops (L, C, H, W) uint8 with changed light, focus, scale and compression.

    They are shifted by `shift` pixels at most; with 0, every pixel stays in place.
    """
    height, width = frames.shape[-2:]
    x = frames.float()
    dx, dy = (int(v) for v in rng.integers(-shift, shift + 1, 2))
    x = functional.pad(x, (shift,) * 4, mode="replicate")
    x = x[..., shift + dy : shift + dy + height, shift + dx : shift + dx + width]
    if rng.random() < 0.4:  # a smaller source, scaled up
        factor = rng.uniform(0.35, 0.9)
        small = (max(int(height * factor), 16), max(int(width * factor), 16))
        mode = ("bilinear", "bicubic")[int(rng.integers(2))]
        x = functional.interpolate(x, small, mode="bilinear", antialias=True)
        x = functional.interpolate(x, (height, width), mode=mode)
    if rng.random() < 0.2:
        x = blur(x, rng.uniform(0.4, 1.2))
    if rng.random() < 0.15:  # sharpened
        x = x + rng.uniform(0.2, 1.0) * (x - blur(x, 1.0))
    gamma = rng.uniform(0.75, 1.33)
    x = (x.clamp(0, 255) / 255) ** gamma * 255
    x = (x - 128) * rng.uniform(0.75, 1.25) + 128 + rng.uniform(-20, 20)
    if x.shape[1] == 3:
        grey = x.mean(dim=1, keepdim=True)
        tint = torch.from_numpy(rng.uniform(0.92, 1.08, (3, 1, 1)).astype(np.float32))
        x = (grey + (x - grey) * rng.uniform(0.5, 1.4)) * tint
    if rng.random() < 0.3:
        x = x + rng.uniform(1, 6) * torch.from_numpy(_noise(x.shape, rng))
    x = x.clamp(0, 255).byte()
    if rng.random() < 0.4:
        # a page, too, imports this module, and torchvision takes half a second
        from torchvision.io import decode_jpeg, encode_jpeg

        quality = int(rng.integers(25, 90))
        x = torch.stack([decode_jpeg(encode_jpeg(frame, quality)) for frame in x])
    return x


def _noise(shape: torch.Size, rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    return rng.standard_normal(tuple(shape), dtype=np.float32)


def recode(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    """Return a waveform (S,) after a random lossy codec at a random low rate."""
    codec, low, high = CODECS[int(rng.integers(len(CODECS)))]
    return reencode_waveform(waveform, codec, int(rng.integers(low, high)))


def augment_waveform(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    """Return a waveform (S,) at 16 kHz as another room, microphone and line would give it."""
    x = waveform.astype(np.float32)
    changes: tuple[tuple[float, Callable[..., np.ndarray]], ...] = (  # type: ignore[type-arg]
        (0.1, _reverberate),
        (0.5, _colour),
        (0.35, _narrow),
        (0.35, _add_noise),
    )
    for chance, change in changes:
        if rng.random() < chance:
            x = change(x, rng)
    level = 10 ** (rng.uniform(-35, -12) / 20)  # dB of full scale, independent of the input's
    x = x * (level / (np.sqrt(np.mean(x**2)) + 1e-5))
    return x.clip(-1, 1).astype(np.float32)


def _reverberate(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    length = int(rng.uniform(0.05, 0.4) * SAMPLE_RATE)
    tail = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    tail = tail * rng.uniform(0.05, 0.4) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    size = len(x) + length
    return np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(tail, size), size)[: len(x)]


def _colour(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    spectrum = np.fft.rfft(x)
    knots = rng.uniform(-6, 6, 8)  # dB
    gain = np.interp(np.linspace(0, 7, len(spectrum)), np.arange(8), knots)
    return np.fft.irfft(spectrum * 10 ** (gain / 20), len(x))


def _narrow(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    spectrum = np.fft.rfft(x)
    hertz = np.linspace(0, SAMPLE_RATE / 2, len(spectrum))
    edge = rng.uniform(3200, 7800)
    spectrum *= 1 / (1 + np.exp((hertz - edge) / rng.uniform(20, 300)))
    if rng.random() < 0.3:
        spectrum *= hertz > rng.uniform(50, 300)
    return np.fft.irfft(spectrum, len(x))


def _add_noise(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    noise = np.fft.rfft(rng.standard_normal(len(x)))
    noise *= (np.arange(len(noise)) + 10.0) ** -rng.uniform(0, 1.0)  # white to pink and darker
    sound = np.fft.irfft(noise, len(x))
    power = np.sqrt(np.mean(x**2) / (np.mean(sound**2) + 1e-12))
    return x + sound * power * 10 ** (-rng.uniform(15, 50) / 20)
