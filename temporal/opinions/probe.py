"""The linear layer by which an expert says by itself what it makes of a step."""

from __future__ import annotations

from torch import Tensor, nn


class StepProbe(nn.Linear):
    """A linear layer on an expert's tokens (Alain & Bengio 2017)."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, 1)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return step logits (N, L) of tokens (N, L, D); every step is judged by itself."""
        return super().forward(tokens)[..., 0]
