"""Fusion of picture and sound gated by their similarity.

Source: Zhou et al., FND-CLIP, ICME 2023, with picture and sound in place of image and text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

WIDTH = 64  # of the vector of each branch
BRANCHES = 3  # picture, sound, both


class SimilarityGate(nn.Module):
    """A classifier of picture, sound and both; the last is gated by the lip-voice similarity.

    Attention weighs the three vectors, and a small network classifies their sum. Layer norms
    replace the paper's batch norms: a clip's steps are not independent.
    """

    def __init__(
        self, visual: Sequence[int], audio: Sequence[int], both: Sequence[int], dim: int = 64
    ) -> None:
        super().__init__()
        self.inputs = tuple(tuple(branch) for branch in (visual, audio, both))  # indices of S
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
        vectors = []
        for places, branch in zip(self.inputs, self.branches, strict=True):
            inputs = tokens[..., places, :].flatten(-2)
            present = ~inputs.isnan().any(dim=-1, keepdim=True)
            vectors.append(branch(inputs.nan_to_num(0.0)) * present)
        similarity = lag[..., lag.shape[-1] // 2].nan_to_num(0.0)  # cosine at lag 0
        vectors[-1] = vectors[-1] * (self.scale * similarity + self.shift)[..., None]
        return torch.stack(vectors, dim=-2)

    def gates(self, vectors: Tensor) -> Tensor:
        """Return the attention weights (B, L, 3) in [0, 1] of vectors (B, L, 3, 64)."""
        squeezed = self.attention(vectors.mean(dim=-1)) + self.attention(vectors.amax(dim=-1))
        return squeezed.sigmoid()


def _branch(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, 2 * WIDTH), nn.LayerNorm(2 * WIDTH), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(2 * WIDTH, WIDTH), nn.LayerNorm(WIDTH), nn.ReLU(),
    )  # fmt: skip
