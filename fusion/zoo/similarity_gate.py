"""Tokens of picture and sound in, step logits out: fusion gated by how well the two fit.

Source: Zhou et al., FND-CLIP, ICME 2023, with picture and sound in place of image and text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

WIDTH = 64  # of the vector of each branch
BRANCHES = 3  # picture, sound, both


class SimilarityGate(nn.Module):
    """Picture, sound and both as vectors; the last counts as far as lips and voice are alike.

    Attention over the three weighs them, and a small network judges their sum. Layer norms stand
    in place of batch norms: a clip's steps are not independent.
    """

    def __init__(
        self, visual: Sequence[int], audio: Sequence[int], both: Sequence[int], dim: int = 64
    ) -> None:
        super().__init__()
        self.inputs = tuple(tuple(branch) for branch in (visual, audio, both))  # places of tokens
        self.branches = nn.ModuleList(_branch(len(places) * dim) for places in self.inputs)
        self.scale = nn.Parameter(torch.ones(()))
        self.shift = nn.Parameter(torch.zeros(()))
        self.attention = nn.Sequential(
            nn.Linear(BRANCHES, BRANCHES), nn.GELU(), nn.Linear(BRANCHES, BRANCHES)
        )
        self.judge = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of tokens (B, L, S, D) and lag (B, L, J), NaN: missing."""
        vectors = self.vectors(streams["tokens"], streams["lag"])
        logits: Tensor = self.judge((self.gates(vectors)[..., None] * vectors).sum(dim=-2))
        return logits[..., 0]

    def vectors(self, tokens: Tensor, lag: Tensor) -> Tensor:
        """Return the vectors (B, L, 3, 64) of picture, sound and both; missing ones are zero."""
        made = []
        for places, branch in zip(self.inputs, self.branches, strict=True):
            given = tokens[..., places, :].flatten(-2)
            there = ~given.isnan().any(dim=-1, keepdim=True)
            made.append(branch(given.nan_to_num(0.0)) * there)
        similarity = lag[..., lag.shape[-1] // 2].nan_to_num(0.0)  # cosine at lag 0
        made[-1] = made[-1] * (self.scale * similarity + self.shift)[..., None]
        return torch.stack(made, dim=-2)

    def gates(self, vectors: Tensor) -> Tensor:
        """Return how far each of the vectors (B, L, 3, 64) counts, (B, L, 3) from 0 to 1."""
        squeezed = self.attention(vectors.mean(dim=-1)) + self.attention(vectors.amax(dim=-1))
        return squeezed.sigmoid()


def _branch(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, 2 * WIDTH), nn.LayerNorm(2 * WIDTH), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(2 * WIDTH, WIDTH), nn.LayerNorm(WIDTH), nn.ReLU(),
    )  # fmt: skip
