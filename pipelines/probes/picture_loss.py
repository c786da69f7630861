"""What a change does to a picture: noise, structure, and power at the finest detail."""

from __future__ import annotations

import numpy as np
import torch

from extractors.clip import Doubles, Frames
from temporal.forgery_map import map_psnr, map_ssim

FINE = 0.7  # of the Nyquist frequency: what lies above is the finest detail
MOST_PSNR = 99.0  # of equal pictures


def picture_loss(before: Frames, after: Frames) -> dict[str, float]:
    """Return PSNR in dB (99 at most), SSIM, and the ratio of fine power, of frames (T, H, W, 3).

    `fine` is the power above 0.7 of the Nyquist frequency after, divided by that before; 1 where
    there was none. Of the middle frame alone; of frames of another size there is only `fine`.
    """
    one, other = (frames[len(frames) // 2].mean(axis=-1) for frames in (before, after))
    was, now = fine_power(one), fine_power(other)
    loss = {"fine": now / was if was > 0 else 1.0}
    if one.shape == other.shape:
        maps = [torch.from_numpy(grey / 255)[None] for grey in (one, other)]
        loss |= {"psnr": min(float(map_psnr(*maps)), MOST_PSNR), "ssim": float(map_ssim(*maps))}
    return loss


def fine_power(grey: Doubles) -> float:
    """Return the share of a grey picture's (H, W) power above 0.7 of the Nyquist frequency.

    Azimuthally: by the distance from zero frequency, over all directions. The mean is left out.
    """
    power = np.square(np.abs(np.fft.fft2(grey - grey.mean())))
    rows, columns = (np.fft.fftfreq(length) for length in grey.shape)
    radius = np.hypot(rows[:, None], columns[None]) / 0.5
    total = power.sum()
    return float(power[radius > FINE].sum() / total) if total > 0 else 0.0
