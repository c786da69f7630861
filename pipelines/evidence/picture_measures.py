"""Measurements of unresized pixels: traces of enlarging, texture and noise.

All take crops (N, 3, H, W) that begin at even coordinates (`extractors.native.native_crop`), and
return a number for each.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from temporal.zoo.patchcraft import diversity
from temporal.zoo.patches import SIDE
from temporal.zoo.residuals import EDGE5, npr_least

FLAT = 1.0  # squared grey levels: below this variance a picture has nothing to relate
QUIET = 0.1  # grey levels added to levels of noise, so that none is 0


def npr_energy(crops: Tensor) -> Tensor:
    """Return the energy (N,) of neighbouring pixel relationships over the picture's variance.

    On the one of the four grids of 2x2 pixels with the least energy: 0 for a picture that was
    enlarged twofold by repeating pixels, 1.5 for white noise.

    Source: Tan et al., CVPR 2024.
    """
    pixels = crops.float()
    variance = pixels.var(dim=(2, 3)).mean(dim=1)
    return npr_least(pixels).square().mean(dim=(1, 2, 3)) / variance.clamp(min=FLAT)


def texture_contrast(crops: Tensor) -> Tensor:
    """Return log2 (N,) of the texture diversity of the rich patches over that of the poor ones.

    The 90 % and the 10 % quantile of the patches of 32x32 pixels that a crop is divided into.

    Source: Zhong et al., PatchCraft, 2024.
    """
    return _octaves(diversity(_patches(crops.float().mean(dim=1))) / SIDE**2)


def noise_spread(crops: Tensor) -> Tensor:
    """Return log2 (N,) of the noise of the noisiest patches over that of the quietest ones.

    The 90 % and the 10 % quantile over patches of the mean absolute high-pass residual, by the
    5x5 kernel of spatial rich models. What is pasted in brings noise of its own.
    """
    grey = crops.float().mean(dim=1, keepdim=True)
    left = functional.conv2d(grey, torch.tensor(EDGE5, device=crops.device)[None, None] / 12)
    return _octaves(_patches(left[:, 0].abs()).mean(dim=(2, 3)))


def _patches(pictures: Tensor) -> Tensor:
    """Return the whole patches (N, K, 32, 32) that pictures (N, H, W) are divided into."""
    return pictures.unfold(1, SIDE, SIDE).unfold(2, SIDE, SIDE).flatten(1, 2)


def _octaves(levels: Tensor) -> Tensor:
    """Return log2 (N,) of the 90 % over the 10 % quantile of levels (N, K)."""
    high, low = levels.quantile(torch.tensor([0.9, 0.1], device=levels.device), dim=1)
    return torch.log2((high + QUIET) / (low + QUIET))
