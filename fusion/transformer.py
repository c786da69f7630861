"""The fusion transformer: attention across streams, then along time.

Both attend to a fixed neighbourhood of steps, so the cost is linear in the video's length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.cvt import CvtLayer


@dataclass(frozen=True)
class FusionConfig:
    """Sizes of the fusion transformer."""

    heads: int = 4
    cross_layers: int = 2
    time_layers: int = 2
    block: Literal["neighbourhood", "cvt"] = "neighbourhood"  # of the layers along time
    reach: int = 10  # steps to either side that cross-modal attention sees: 0.4 s
    window: int = 16  # steps to either side that attention along time sees
    lag_span: int = 12  # steps to either side over which lip-sound similarity is averaged
    dropout: float = 0.1
    stream_dropout: float = 0.2  # probability that a stream is hidden in training


class CrossModalTransformer(nn.Module):
    """Fuses {stream: tokens} of any subset of the streams that it was built for."""

    def __init__(self, streams: tuple[str, ...], dim: int, config: FusionConfig) -> None:
        super().__init__()
        self.streams, self.config = streams, config
        self.embedding = nn.Parameter(torch.randn(len(streams), dim) * 0.02)
        self.missing = nn.Parameter(torch.randn(len(streams), dim) * 0.02)
        self.norm = nn.ModuleDict({name: nn.LayerNorm(dim) for name in streams})
        self.cross = nn.ModuleList(
            [
                NeighbourhoodLayer(dim, len(streams), config.reach, config)
                for _ in range(config.cross_layers)
            ]
        )
        self.merge = nn.Linear(len(streams) * dim, dim)
        self.time = nn.ModuleList(
            [
                CvtLayer(dim, config.heads, config.window, config.dropout)
                if config.block == "cvt"
                else NeighbourhoodLayer(dim, 1, config.window, config)
                for _ in range(config.time_layers)
            ]
        )
        self.out = nn.LayerNorm(dim)

    def forward(self, tokens: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return fused tokens (N, L, D) of each stream's tokens (N, L, D).

        mask: (N, L), the valid steps.
        """
        x = torch.stack([self._token(name, tokens, mask) for name in self.streams], dim=1)
        for layer in self.cross:
            x = layer(x, mask)  # (N, S, L, D)
        x = self.merge(x.transpose(1, 2).flatten(2))[:, None]  # (N, 1, L, D)
        for layer in self.time:
            x = layer(x, mask)
        return self.out(x[:, 0])

    def _token(self, name: str, tokens: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        index = self.streams.index(name)
        missing = self.missing[index].expand(*mask.shape, -1)
        if name not in tokens:
            return missing + self.embedding[index]
        x = self.norm[name](tokens[name])
        if self.training and self.config.stream_dropout:
            hidden = torch.rand(len(x), 1, 1, device=x.device) < self.config.stream_dropout
            x = torch.where(hidden, missing, x)
        return x + self.embedding[index]


class NeighbourhoodLayer(nn.Module):
    """A pre-norm transformer layer whose steps attend to all streams at the steps around them."""

    def __init__(self, dim: int, streams: int, reach: int, config: FusionConfig) -> None:
        super().__init__()
        self.heads, self.reach = config.heads, reach
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        # one learned bias for every (head, query stream, key stream, lag)
        self.bias = nn.Parameter(torch.zeros(config.heads, streams, streams, 2 * reach + 1))
        self.dropout = nn.Dropout(config.dropout)
        self.feed = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Dropout(config.dropout),
            nn.Linear(2 * dim, dim), nn.Dropout(config.dropout),
        )  # fmt: skip

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return x (N, S, L, D) after attention to all streams at the steps in reach."""
        x = x + self.dropout(self.out(self._attend(self.norm(x), mask)))
        return x + self.feed(x)

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        n, s, length, dim = x.shape
        split = self.qkv(x).reshape(n, s, length, 3, self.heads, dim // self.heads)
        query, key, value = split.permute(3, 0, 4, 1, 2, 5)  # (N, heads, S, L, d) each
        keys = _around(key, self.reach)  # (N, heads, S, L, 2R+1, d)
        values = _around(value, self.reach)
        scores = torch.einsum("nhqld,nhkljd->nhqlkj", query, keys) / key.shape[-1] ** 0.5
        scores = scores + self.bias[None, :, :, None]
        valid = _around(mask[:, None, None, :, None].float(), self.reach)[..., 0] > 0
        scores = scores.masked_fill(~valid[:, :, :, :, None], -1e4)  # valid: (N, 1, 1, L, 2R+1)
        weights = scores.flatten(-2).softmax(dim=-1).unflatten(-1, scores.shape[-2:])
        mixed = torch.einsum("nhqlkj,nhkljd->nhqld", weights, values)
        return mixed.permute(0, 2, 3, 1, 4).flatten(3)  # (N, S, L, D)


def _around(x: Tensor, reach: int) -> Tensor:
    """Return each step's neighbourhood (..., L, 2 * reach + 1, d) in x (..., L, d), zero-padded."""
    padded = functional.pad(x, (0, 0, reach, reach))
    return padded.unfold(-2, 2 * reach + 1, 1).transpose(-1, -2)


class LagProfile(nn.Module):
    """The similarity of lips and voice at every lag around each step.

    Tokens are projected to unit vectors; their cosine at a lag, averaged over neighbouring steps,
    peaks at lag 0 where lips and voice are in sync (Chung & Zisserman 2016).
    """

    def __init__(self, dim: int, reach: int, span: int, margin: int) -> None:
        super().__init__()
        self.lips = nn.Linear(dim, dim)
        self.voice = nn.Linear(dim, dim)
        self.reach, self.span, self.margin = reach, span, margin

    def embed(self, lips: Tensor, voice: Tensor) -> tuple[Tensor, Tensor]:
        """Return unit vectors (N, L, D) of lips and voice tokens."""
        return (
            functional.normalize(self.lips(lips), dim=-1),
            functional.normalize(self.voice(voice), dim=-1),
        )

    def forward(self, lips: Tensor, voice: Tensor, mask: Tensor) -> Tensor:
        """Return similarities (N, L, 2 * reach + 1) in [-1, 1]; lag j pairs lips t, voice t + j.

        Tokens within the margin of an edge are left out: they saw padding, by which lips and voice
        could be aligned.
        """
        one, other = self.embed(lips, voice)
        outside = functional.pad(1 - mask[:, None].float(), (self.margin, self.margin), value=1.0)
        inner = 1 - functional.max_pool1d(outside, 2 * self.margin + 1, 1)[:, 0]
        pairs = torch.einsum("nld,nljd->nlj", one, _around(other, self.reach))
        valid = inner[..., None] * _around(inner[..., None], self.reach)[..., 0]  # (N, L, 2R+1)
        total = self._average(pairs * valid)
        return total / self._average(valid).clamp(min=1e-3)

    def _average(self, x: Tensor) -> Tensor:
        """Return x (N, L, J) averaged over the span to either side, zero-padded."""
        return functional.avg_pool1d(
            x.transpose(1, 2), 2 * self.span + 1, 1, self.span, count_include_pad=True
        ).transpose(1, 2)


class LagProbe(nn.Module):
    """The logit that lips and voice are out of sync at a step, by the lag profile alone.

    Compares the best similarity near lag 0 with the best at lags that no recording has: where a
    speaker mumbles, the profile is low everywhere and is no evidence.
    """

    def __init__(self, near: int, far: int) -> None:
        """Make a probe that compares lags of at most `near` steps with lags of at least `far`."""
        super().__init__()
        self.near, self.far = near, far
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.shift = nn.Parameter(torch.tensor(0.0))

    def forward(self, profile: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return logits (N, L) of similarities (N, L, 2 * reach + 1) by lag."""
        return self.scale * lag_contrast(profile, self.near, self.far) + self.shift


def lag_contrast(profile: Tensor, near: int, far: int) -> Tensor:
    """Return a profile's (..., J) best similarity far from lag 0 minus the best near it, (...)."""
    middle = profile.shape[-1] // 2
    best = profile[..., middle - near : middle + near + 1].amax(dim=-1)
    before, after = profile[..., : middle - far + 1], profile[..., middle + far :]
    return torch.maximum(before.amax(dim=-1), after.amax(dim=-1)) - best
