"""Networks on the residuals of fixed filters, which remove a picture's content."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import Bottleneck

from temporal.zoo.residuals import (
    block_dct,
    error_level,
    high_pass,
    high_pass_kernels,
    npr,
    npr_least,
)

# ImageNet's mean and standard deviation of each colour, in levels from 0 to 255.
MEAN, SPREAD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
FEW = 32  # pictures that are judged at once
STRONGEST = 32.0  # levels at which a residual is clipped: an edge is content, not texture


class Npr(nn.Module):
    """A short residual network on neighbouring pixel relationships, each step on its own.

    With 64 planes it is the published network; 16 are enough for small crops.

    Source: Tan et al., CVPR 2024.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, planes: int = 16, stream: str = "native", any_phase: bool = False) -> None:
        super().__init__()
        self.stream, self.any_phase = stream, any_phase
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("spread", torch.tensor(SPREAD)[:, None, None], persistent=False)
        self.layers = nn.Sequential(
            nn.Conv2d(3, planes, 3, 2, 1, bias=False), nn.BatchNorm2d(planes), nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            _stage(planes, planes, 3, 1), _stage(4 * planes, 2 * planes, 4, 2),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * planes, 1),
        )  # fmt: skip

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of crops (B, L, 3, H, W) that were never resized."""
        return by_step(self._logits, streams[self.stream], self.training)

    def _logits(self, crops: Tensor) -> Tensor:
        x = (crops.float() - self.mean) / self.spread
        residuals = npr_least(x) if self.any_phase else npr(x)
        logits: Tensor = self.layers(residuals * (2 / 3))
        return logits


class ResidualNetwork(nn.Module):
    """A small network on the residuals of each step's crop.

    The filters are RTM's: 30 high-pass residuals of spatial rich models, the error level of a JPEG,
    or the log magnitudes of the 8x8 block DCT's coefficients.

    Source: Luo et al., RTM, 2024.
    """

    kernels: Tensor
    CHANNELS: Mapping[str, int] = {"high_pass": 30, "error_level": 3, "block_dct": 64}

    def __init__(
        self, residual: str = "high_pass", width: int = 16, stream: str = "appearance"
    ) -> None:
        super().__init__()
        if residual not in self.CHANNELS:
            raise ValueError(f"residual must be one of {list(self.CHANNELS)}, got {residual!r}")
        self.residual, self.stream = residual, stream
        self.register_buffer("kernels", high_pass_kernels(), persistent=False)
        self.layers = nn.Sequential(
            *_halving(self.CHANNELS[residual], width), *_halving(width, 2 * width),
            *_halving(2 * width, 4 * width),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, 1),
        )  # fmt: skip

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of crops (B, L, 3, H, W) uint8."""
        return by_step(self._logits, streams[self.stream], self.training)

    def _logits(self, crops: Tensor) -> Tensor:
        logits: Tensor = self.layers(residuals_of(self.residual, crops, self.kernels))
        return logits


def residuals_of(name: str, crops: Tensor, kernels: Tensor) -> Tensor:
    """Return residuals (N, C, H, W) of crops (N, 3, H, W), in about [-1, 1].

    Those of the block DCT are (N, 64, H / 8, W / 8).

    Args:
        name: of `ResidualNetwork.CHANNELS`.
        crops: levels.
        kernels: those of `high_pass_kernels`.
    """
    if name == "error_level":
        return error_level(crops.to(torch.uint8)) / STRONGEST
    if name == "block_dct":
        turned = block_dct(crops.float().mean(dim=1, keepdim=True))
        return functional.pixel_unshuffle(turned, 8).abs().log1p() / 8
    return high_pass(crops.float(), kernels).clamp(-STRONGEST, STRONGEST) / STRONGEST


def by_step(logits_of: Callable[[Tensor], Tensor], crops: Tensor, at_once: bool) -> Tensor:
    """Return a function's logits (B, L) of crops (B, L, ...), computed at once or a few at a time.

    In training, batch normalisation needs all crops; in inference a few at a time save memory.
    """
    flat = crops.flatten(0, 1)
    parts = (flat,) if at_once else torch.split(flat, FEW)
    return torch.cat([logits_of(part) for part in parts]).reshape(crops.shape[:2])


def _stage(channels: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    shortcut = nn.Sequential(
        nn.Conv2d(channels, 4 * planes, 1, stride, bias=False), nn.BatchNorm2d(4 * planes)
    )
    first = Bottleneck(channels, planes, stride, shortcut)
    return nn.Sequential(first, *[Bottleneck(4 * planes, planes) for _ in range(blocks - 1)])


def _halving(channels: int, width: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(channels, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
    )  # fmt: skip
