"""A linear probe: each expert's own opinion on a step."""

from __future__ import annotations

from torch import Tensor, nn


class StepProbe(nn.Linear):
    """A linear layer on an expert's tokens (Alain & Bengio 2017)."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, 1)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return step logits (N, L) of tokens (N, L, D), each step on its own."""
        return super().forward(tokens)[..., 0]
