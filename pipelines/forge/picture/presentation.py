"""Attacks on a camera: a picture of a face that is held before it, or fed in behind it.

Each is drawn on genuine crops, so that what was done is known. They teach a head the look of an
attack's medium; they are no photographs of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipelines.forge.picture.blur import blur

Attack = Callable[[Tensor, np.random.Generator], Tensor]  # levels (L, 3, H, W), 0 to 255


def presented(crops: Tensor, kind: str, rng: np.random.Generator) -> Tensor:
    """Return crops (L, 3, H, W) uint8 as an attack of a kind of `ATTACKS` would show them.

    rng: draws its strength and place, the same in all crops.
    """
    return ATTACKS[kind](crops.float(), rng).round().clamp(0, 255).byte()


def grating(size: Sequence[int], frequency: float, angle: float, phase: float) -> Tensor:
    """Return a wave (H, W) from -1 to 1; cycles a pixel, and radians of its angle and phase."""
    rows, columns = torch.arange(size[0])[:, None], torch.arange(size[1])
    along = columns * np.cos(angle) + rows * np.sin(angle)
    wave: Tensor = torch.cos(2 * torch.pi * frequency * along + phase)
    return wave.float()


def moire(levels: Tensor, frequency: float, angle: float, depth: float) -> Tensor:
    """Return levels (L, 3, H, W) under the beat of a screen's pixels with a camera's.

    The three colours are a third of a period apart, as a screen's stripes are; depth in levels.
    """
    phases = (0.0, 2 * np.pi / 3, 4 * np.pi / 3)
    waves = [grating(levels.shape[-2:], frequency, angle, phase) for phase in phases]
    return levels + depth * torch.stack(waves)


def glare(levels: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
    """Return levels (L, 3, H, W) with the soft reflection of a lamp somewhere."""
    height, width = levels.shape[-2:]
    rows, columns = torch.arange(height)[:, None] / height, torch.arange(width) / width
    middle, size = rng.uniform(0.2, 0.8, 2).tolist(), rng.uniform(0.05, 0.2, 2).tolist()
    away = ((rows - middle[0]) / size[0]) ** 2 + ((columns - middle[1]) / size[1]) ** 2
    return levels + strength * torch.exp(-away).float()


def _print(levels: Tensor, rng: np.random.Generator) -> Tensor:
    """Ink on paper: few tones, a screen of dots for each ink, light that falls off to one side."""
    dots = [
        grating(levels.shape[-2:], float(rng.uniform(0.25, 0.42)), float(angle), 0.0)
        for angle in np.deg2rad([15.0, 45.0, 75.0])
    ]
    inked = 30 + 0.75 * levels + float(rng.uniform(8, 20)) * torch.stack(dots)
    left, right = rng.uniform(0.75, 1.1, 2).tolist()
    side = torch.linspace(left, right, levels.shape[-1])
    return blur(inked * side, float(rng.uniform(0.5, 0.9)))


def _replay(levels: Tensor, rng: np.random.Generator) -> Tensor:
    """A screen: moiré, a bluish white, a band of its refresh, a lamp in the glass."""
    frequency, angle = float(rng.uniform(0.12, 0.4)), float(rng.uniform(0, np.pi))
    shown = moire(levels, frequency, angle, float(rng.uniform(6, 18)))
    shown = shown * torch.tensor([0.92, 0.98, 1.06])[:, None, None]
    rows = torch.arange(levels.shape[-2]) / levels.shape[-2]
    band = 1 - 0.15 * torch.exp(-(((rows - rng.random()) / 0.1) ** 2)).float()[:, None]
    return glare(shown * band, rng, float(rng.uniform(0, 140)))


def _mask(levels: Tensor, rng: np.random.Generator) -> Tensor:
    """A mask: skin of one tone and no texture within a hard edge, and the gloss of plastic."""
    height, width = levels.shape[-2:]
    rows = torch.linspace(-1, 1, height)[:, None] / float(rng.uniform(0.7, 0.9))
    columns = torch.linspace(-1, 1, width) / float(rng.uniform(0.55, 0.75))
    inside = (rows.square() + columns.square() < 1).float()
    tone = levels.mean(dim=(0, 2, 3), keepdim=True)
    smooth = 0.5 * blur(levels, float(rng.uniform(2, 4))) + 0.5 * tone
    for _ in range(int(rng.integers(2, 5))):
        smooth = glare(smooth, rng, float(rng.uniform(60, 120)))
    return levels + inside * (smooth - levels)


def _virtual_camera(levels: Tensor, rng: np.random.Generator) -> Tensor:
    """A file fed in for the camera: scaled up from fewer pixels, in steps of tone, noiseless."""
    size = int(levels.shape[-1] * rng.uniform(0.35, 0.6))
    small = functional.interpolate(levels, (size, size), mode="bilinear", antialias=True)
    step = float(rng.uniform(6, 12))
    coarse = (small / step).round() * step
    return functional.interpolate(coarse, levels.shape[-2:], mode="bilinear")


def _low_light(levels: Tensor, rng: np.random.Generator) -> Tensor:
    """A room kept dark: little light, and the noise that a camera makes of it."""
    noise = torch.from_numpy(rng.normal(0, rng.uniform(4, 9), tuple(levels.shape))).float()
    return levels * float(rng.uniform(0.08, 0.25)) + noise


def _document(levels: Tensor, rng: np.random.Generator) -> Tensor:
    """A portrait put into a document: small, on lines of security print, under a gloss."""
    height, width = levels.shape[-2:]
    lines = [grating((height, width), float(rng.uniform(0.05, 0.15)), a, 0.0) for a in (0.5, 2.2)]
    card = torch.tensor([205.0, 212.0, 222.0])[:, None, None] + 12 * torch.stack(lines).amax(dim=0)
    card = card.expand_as(levels).clone()
    size = int(height * rng.uniform(0.45, 0.65))
    row, column = int(rng.integers(0, height - size)), int(rng.integers(0, width - size))
    portrait = functional.interpolate(levels, (size, size), mode="bilinear", antialias=True)
    card[..., row : row + size, column : column + size] = portrait
    return glare(card, rng, float(rng.uniform(0, 80)))


def _other(levels: Tensor, rng: np.random.Generator) -> Tensor:
    """What hides a face otherwise: something flat before a part of it."""
    height, width = levels.shape[-2:]
    hidden = levels.clone()
    top, left = int(height * rng.uniform(0, 0.5)), int(width * rng.uniform(0, 0.4))
    colour = torch.from_numpy(rng.uniform(0, 255, (3, 1, 1))).float()
    hidden[..., top : top + height // 2, left : left + int(0.6 * width)] = colour
    return blur(hidden, 0.6)


# By the names of the taxonomy; what is none of these is genuine.
ATTACKS: dict[str, Attack] = {
    "print": _print,
    "screen replay": _replay,
    "mask or cut-out": _mask,
    "virtual camera": _virtual_camera,
    "low light": _low_light,
    "document tamper": _document,
    "other presentation": _other,
}
