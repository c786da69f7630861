"""Pixels beside a selected residual of them, joined by gated attention among neighbours.

Source: Luo et al., RTM, 2024 (tampered text), in a smaller size: convolutions in place of its two
transformers, two stages of fusion in place of four.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from temporal.zoo.patch_votes import mean_of_highest
from temporal.zoo.residuals import high_pass_kernels
from temporal.zoo.texture import ResidualNetwork, by_step, residuals_of

REACH = 2  # cells to each side: a neighbourhood has 5x5
SHARE = 0.1  # of the cells, whose highest logits are a picture's


def neighbourhood_attention(
    query: Tensor, key: Tensor, value: Tensor, reach: int = REACH
) -> Tensor:
    """Return values (N, C, H, W), averaged over each cell's neighbours by their keys' likeness.

    The weights are the softmax of the scaled dot products of the cell's query (N, C, H, W) with the
    keys in its neighbourhood; what lies outside the picture takes no part.
    """
    n, channels, height, width = query.shape
    side = 2 * reach + 1

    def near(x: Tensor) -> Tensor:
        around = functional.unfold(x, side, padding=reach)
        return around.reshape(n, -1, side**2, height, width)

    likeness = (query[:, :, None] * near(key)).sum(dim=1) / channels**0.5  # (N, 25, H, W)
    inside = near(torch.ones_like(query[:, :1]))[:, 0] > 0
    weights = likeness.masked_fill(~inside, -torch.inf).softmax(dim=1)
    return (weights[:, None] * near(value)).sum(dim=2)


class GatedFusion(nn.Module):
    """What one encoder sees, plus what the other sees around it, as far as a gate lets it in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.after = (nn.Conv2d(width, width, 1) for _ in "qkva")
        self.gate = nn.Conv2d(2 * width, width, 1)

    def forward(self, seen: Tensor, other: Tensor) -> Tensor:
        """Return features (N, C, H, W) of both."""
        around = neighbourhood_attention(self.query(seen), self.key(other), self.value(other))
        around = self.after(around)
        gate = self.gate(torch.cat([seen, around], dim=1)).sigmoid()
        return seen + gate * around


class StreamSelector(nn.Module):
    """One picture's residual streams, weighted by how much each tells; the shares add to 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, streams: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the weighted sum (N, C, H, W) of S streams of that shape, and shares (N, S)."""
        stacked = torch.stack(list(streams), dim=1)
        shares = self.score(stacked.mean(dim=(3, 4)))[..., 0].softmax(dim=1)
        return (shares[..., None, None, None] * stacked).sum(dim=1), shares


class TamperedText(nn.Module):
    """A map of tampered cells of 8 pixels, by pixels and by their block DCT, noise or error level.

    Made for captions, logos and documents (the stream `overlay`); it reads faces as well.
    """

    kernels: Tensor

    def __init__(self, width: int = 24, stream: str = "overlay") -> None:
        super().__init__()
        self.stream = stream
        self.register_buffer("kernels", high_pass_kernels(), persistent=False)
        self.colours = _eighth(3, width)
        made = {
            name: _layer(channels, width, 1) if name == "block_dct" else _eighth(channels, width)
            for name, channels in ResidualNetwork.CHANNELS.items()
        }
        self.residuals = nn.ModuleDict(made)
        self.selector = StreamSelector(width)
        self.fusions = nn.ModuleList(GatedFusion(width) for _ in range(2))
        self.deeper = nn.ModuleList(_layer(width, width, 2) for _ in range(2))
        self.judge = nn.Sequential(_layer(2 * width, width, 1), nn.Conv2d(width, 1, 1))

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of crops (B, L, 3, H, W) uint8, sides multiples of 8."""

        def logits_of(crops: Tensor) -> Tensor:
            return mean_of_highest(self.cells(crops)[0].flatten(1), SHARE)

        return by_step(logits_of, streams[self.stream], self.training)

    def cells(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, H / 8, W / 8) of crops (N, 3, H, W), and shares (N, 3) of residuals."""
        seen = self.colours((crops.float() - 128) / 64)
        streams = [
            layers(residuals_of(name, crops, self.kernels))
            for name, layers in self.residuals.items()
        ]
        hub, shares = self.selector(streams)
        fine = self.fusions[0](seen, hub)
        coarse = self.fusions[1](self.deeper[0](fine), self.deeper[1](hub))
        wide = functional.interpolate(coarse, fine.shape[-2:], mode="bilinear")
        logits: Tensor = self.judge(torch.cat([fine, wide], dim=1))[:, 0]
        return logits, shares

    def describe(self, streams: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the share of each residual, and of the cells that look tampered, of one clip."""
        cells, shares = self.cells(streams[self.stream][0])
        told = {
            f"share of {name.replace('_', ' ')}": float(share)
            for name, share in zip(self.residuals, shares.mean(dim=0), strict=True)
        }
        return told | {"share of cells": float((cells > 0).float().mean())}


def _layer(channels: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
    )  # fmt: skip


def _eighth(channels: int, width: int) -> nn.Sequential:
    """Return layers that leave an eighth of a picture's sides."""
    return nn.Sequential(
        _layer(channels, width, 2), _layer(width, width, 2), _layer(width, width, 2)
    )
