"""Gaussian blur of frames."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def blur(x: Tensor, sigma: float) -> Tensor:
    """Return pictures (L, C, H, W) blurred by a Gaussian of `sigma` pixels."""
    reach, groups = max(int(3 * sigma), 1), x.shape[1]
    offsets = torch.arange(-reach, reach + 1).float()
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(groups, 1, -1)
    x = functional.pad(x, (reach,) * 4, mode="replicate")
    x = functional.conv2d(x, kernel[..., None, :], groups=groups)
    return functional.conv2d(x, kernel[..., None], groups=groups)
