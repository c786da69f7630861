"""Convolutional attention along time, a block that needs no positional encoding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STRIDE = 2  # of keys and values: half as many as queries


class CvtLayer(nn.Module):
    """A pre-norm transformer layer whose queries, keys and values are convolutions over time.

    Depth-wise convolutions over three steps, batch-normalised, take the place of positions; those
    of keys and values have stride 2, and key j stands for step 2j. Scores are scaled by the whole
    width. Unlike in the paper, a step attends to its neighbourhood alone, as in the other block.
    Source: Wu et al., CvT: Introducing Convolutions to Vision Transformers, ICCV 2021.
    """

    def __init__(self, dim: int, heads: int, window: int, dropout: float) -> None:
        """Make a layer whose outputs depend on `window` steps to either side."""
        super().__init__()
        self.heads, self.window = heads, window
        self.norm = nn.LayerNorm(dim)
        self.query = _projection(dim, 1)
        self.key = _projection(dim, STRIDE)
        self.value = _projection(dim, STRIDE)
        self.out = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)
        self.feed = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(4 * dim, dim), nn.Dropout(dropout),
        )  # fmt: skip

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return x (N, S, L, D) after attention along time, each stream by itself.

        mask: (N, L), the valid steps.
        """
        streams = x.shape[1]
        rows = x.flatten(0, 1)
        rows = rows + self.dropout(
            self.out(self._attend(self.norm(rows), mask.repeat_interleave(streams, dim=0)))
        )
        return (rows + self.feed(rows)).unflatten(0, (-1, streams))

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        inner = (x * mask[..., None]).transpose(1, 2)  # (N, D, L)
        query, key, value = (
            project(inner).unflatten(1, (self.heads, -1))  # (N, heads, d, L or L/2)
            for project in (self.query, self.key, self.value)
        )
        scores = torch.einsum("nhdq,nhdk->nhqk", query, key) / x.shape[-1] ** 0.5
        steps = torch.arange(x.shape[1], device=x.device)
        centres = steps[::STRIDE]
        near = (steps[:, None] - centres).abs() < self.window  # the convolution sees one step more
        valid = near & mask[:, None, centres].bool()  # (N, L, L/2)
        weights = scores.masked_fill(~valid[:, None], -1e4).softmax(dim=-1)
        mixed = torch.einsum("nhqk,nhdk->nhdq", weights, value)
        return mixed.flatten(1, 2).transpose(1, 2)  # (N, L, D)


def _projection(dim: int, stride: int) -> nn.Sequential:
    """Return the convolution that makes (N, D, L / stride) of (N, D, L)."""
    return nn.Sequential(
        nn.Conv1d(dim, dim, 3, stride, padding=1, groups=dim, bias=False),
        nn.BatchNorm1d(dim),
        nn.Conv1d(dim, dim, 1),
    )
