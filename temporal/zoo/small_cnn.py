"""A small convolutional network on face crops: the baseline that stronger parts must beat."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from temporal.experts import normalise

SIDE = 32  # pixels of the crops that the network sees


class SmallCnn(nn.Module):
    """Two convolutions and a dense layer on crops of 32x32 pixels, each step on its own.

    Source: Bird and Lotfi, CIFAKE, IEEE Access 2024: the best of the topologies that they tried.
    """

    def __init__(self, channels: int = 32, dense: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(channels * (SIDE // 4) ** 2, dense), nn.ReLU(), nn.Linear(dense, 1),
        )  # fmt: skip

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of appearance (B, L, 3, H, W)."""
        crops = normalise("appearance", streams["appearance"])
        small = functional.adaptive_avg_pool2d(crops.flatten(0, 1), SIDE)
        logits: Tensor = self.layers(small).reshape(crops.shape[:2])
        return logits
