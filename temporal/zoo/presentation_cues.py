"""Traces of a medium before the camera, as numbers: moiré of a screen, gloss of a surface."""

from __future__ import annotations

import torch
from torch import Tensor

LOWEST = 0.08  # cycles a pixel; slower waves are the face itself
WHITE = 230.0  # level from which on all colours of a pixel are a highlight
BRIGHTEST = 0.01  # share of the pixels whose saturation is measured


def moire_peak(crops: Tensor) -> tuple[Tensor, Tensor]:
    """Return the strength (N,) of the strongest wave of crops (N, 3, H, W), and its frequency (N,).

    The strength is the log of its power over the mean of all beyond `LOWEST`, each times its
    squared frequency, by which the spectra of pictures fall off. Frequencies: cycles a pixel.
    """
    height, width = crops.shape[-2:]
    waves = crops.float() - crops.float().mean(dim=(2, 3), keepdim=True)
    windows = [torch.hann_window(side, device=crops.device) for side in (height, width)]
    spectra = torch.fft.rfft2(waves * windows[0][:, None] * windows[1])
    power = spectra.abs().square().sum(dim=1)  # in grey the colours' waves would cancel
    rows = torch.fft.fftfreq(height, device=crops.device)[:, None]
    radius = (rows.square() + torch.fft.rfftfreq(width, device=crops.device).square()).sqrt()
    seen = (radius >= LOWEST) & (radius <= 0.5)
    level, frequency = (power * radius.square())[:, seen], radius[seen]
    highest, place = level.max(dim=1)
    return (highest / level.mean(dim=1).clamp(min=1e-9)).clamp(min=1).log(), frequency[place]


def highlights(crops: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share (N,) of white pixels of crops (N, 3, H, W), and the saturation (N,) of some.

    The saturation, 0 to 1, is the mean of the brightest hundredth of the pixels: a lamp in glass or
    plastic has its own colour, not that of the skin.
    """
    levels = crops.float().flatten(2)  # (N, 3, P)
    least, most = levels.amin(dim=1), levels.amax(dim=1)
    count = max(1, int(BRIGHTEST * levels.shape[-1]))
    brightest = levels.mean(dim=1).topk(count, dim=1).indices
    saturation = ((most - least) / most.clamp(min=1)).gather(1, brightest).mean(dim=1)
    return (least >= WHITE).float().mean(dim=1), saturation


def presentation_cues(crops: Tensor) -> Tensor:
    """Return both of `moire_peak` and both of `highlights` (N, 4) of crops (N, 3, H, W)."""
    return torch.stack([*moire_peak(crops), *highlights(crops)], dim=1)
