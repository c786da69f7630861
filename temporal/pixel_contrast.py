"""Contrast of forged and genuine cells: those of one kind are to look alike, across pictures.

Source: supervised contrastive learning (Khosla et al., NeurIPS 2020) on pixels with a memory, as
RTM (Luo et al., 2024) adds it to its map's loss with a weight of 0.05.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class PixelContrast(nn.Module):
    """The contrastive loss of a map's features, with a memory of cells of earlier batches."""

    memory: Tensor  # (2, M, D) unit vectors: of genuine cells, of forged ones
    kept: Tensor  # (2,) how many of them there are yet

    def __init__(
        self, width: int, dim: int = 128, most: int = 1024, memory: int = 256,
        temperature: float = 0.1,
    ) -> None:  # fmt: skip
        """Contrast features of `width` channels by `most` cells of each kind at most."""
        super().__init__()
        self.most, self.temperature = most, temperature
        self.project = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, dim))
        self.register_buffer("memory", torch.zeros(2, memory, dim), persistent=False)
        self.register_buffer("kept", torch.zeros(2, dtype=torch.long), persistent=False)

    def forward(self, features: Tensor, forged: Tensor) -> Tensor:
        """Return the loss () of features (N, C, h, w) whose cells (N, h, w) are forged or not."""
        cells = features.permute(0, 2, 3, 1)
        drawn = [_few(cells[forged == kind], self.most) for kind in (False, True)]
        vectors = [functional.normalize(self.project(part), dim=1) for part in drawn]
        remembered = [self.memory[kind, : int(self.kept[kind])] for kind in (0, 1)]
        loss = supervised_contrast(vectors, remembered, self.temperature)
        for kind in (0, 1):
            self._remember(kind, vectors[kind].detach())
        return loss

    @torch.no_grad()
    def _remember(self, kind: int, vectors: Tensor) -> None:
        """Put vectors (K, D) before those remembered, the oldest of which are dropped."""
        size = self.memory.shape[1]
        before = self.memory[kind, : int(self.kept[kind])]
        now = torch.cat([_few(vectors, size), before])[:size]
        self.memory[kind, : len(now)] = now
        self.kept[kind] = len(now)


def supervised_contrast(
    vectors: list[Tensor], remembered: list[Tensor], temperature: float
) -> Tensor:
    """Return the supervised contrastive loss () in nats; 0 where no vector has another of its kind.

    For every vector the mean over the others of its kind of -log of their share in the softmax over
    all others.

    Args:
        vectors: (K, D) unit vectors of each kind.
        remembered: (M, D) of each kind, which are compared with and ask nothing themselves.
        temperature: of the softmax.
    """
    asking = torch.cat(vectors)
    others = torch.cat([asking, *remembered])
    kinds = [torch.full((len(v),), kind) for kind, v in enumerate(vectors)]
    memory = [torch.full((len(v),), kind) for kind, v in enumerate(remembered)]
    asked = torch.cat(kinds).to(asking.device)
    like = asked[:, None] == torch.cat([*kinds, *memory]).to(asking.device)
    itself = torch.eye(len(asking), len(others), dtype=torch.bool, device=asking.device)
    likeness = (asking @ others.T / temperature).masked_fill(itself, -torch.inf)
    shares = likeness.log_softmax(dim=1).masked_fill(itself, 0.0)
    like = like & ~itself
    count = like.sum(dim=1)
    each = -(shares * like).sum(dim=1) / count.clamp(min=1)
    return each[count > 0].sum() / (count > 0).sum().clamp(min=1)


def _few(rows: Tensor, most: int) -> Tensor:
    """Return at most so many of the rows (K, D), drawn at random."""
    if len(rows) <= most:
        return rows
    return rows[torch.randperm(len(rows), device=rows.device)[:most]]
