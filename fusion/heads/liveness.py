"""What is before the camera, a living face or one of several attacks, by vectors of its crops."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.heads.closed import best_threshold

TEMPERATURE = 0.07  # of CLIP's softmax over cosines


class LivenessHead(nn.Module):
    """A vector for each category, and a projection of a crop's vector into their space.

    The first category is the genuine one. After CLIPC8, which contrasts pictures with the texts of
    eight categories of attacks: here categories are learned, and which they are is our choice.
    """

    threshold: Tensor  # () score of an attack from which on a crop is one

    def __init__(self, width: int, categories: int, dim: int = 64) -> None:
        super().__init__()
        self.normal = nn.BatchNorm1d(width, affine=False)
        self.project = nn.Linear(width, dim)
        self.categories = nn.Parameter(torch.randn(categories, dim))
        self.register_buffer("threshold", torch.tensor(0.5))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return logits (B, C), cosines over the temperature, of vectors (B, W)."""
        embedded = functional.normalize(self.project(self.normal(vectors)), dim=-1)
        logits: Tensor = embedded @ functional.normalize(self.categories, dim=-1).T / TEMPERATURE
        return logits

    def attack_scores(self, vectors: Tensor) -> Tensor:
        """Return 1 - P(genuine) (B,) of vectors (B, W)."""
        return 1 - self(vectors).softmax(dim=1)[:, 0]

    def loss(self, vectors: Tensor, categories: Tensor) -> Tensor:
        """Return InfoNCE () of vectors (B, W) and their categories (B,) against all categories."""
        return functional.cross_entropy(self(vectors), categories)

    @torch.no_grad()
    def settle(self, vectors: Tensor, categories: Tensor) -> None:
        """Set the threshold of highest Youden's J on held-out crops."""
        self.threshold.copy_(best_threshold(self.attack_scores(vectors), categories > 0))
