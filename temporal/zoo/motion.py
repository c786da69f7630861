"""A detector on optical flow alone, after L3DE.

Source: L3DE (Learned 3D Evaluation, ICCV 2025), the second version of What-Matters, as third
parties describe it. The two choices in which it differs from the starter's flow expert are settings
here, so that each can be tried.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from temporal.experts import PictureExpert, normalise


class Motion(nn.Module):
    """A small 3D network on flow whose loss also pushes features of fake and real clips apart.

    With `flow_norm="l3de"` each step's flow is divided by its largest speed, so absolute speed is
    lost. `push` is the weight of the push loss.
    """

    def __init__(
        self,
        flow_norm: str = "starter",
        push: float = 0.1,
        widths: tuple[int, ...] = (8, 16, 32),
        dim: int = 32,
    ) -> None:
        super().__init__()
        if flow_norm not in ("starter", "l3de"):
            raise ValueError(f"flow_norm must be starter or l3de, got {flow_norm!r}")
        self.flow_norm, self.push = flow_norm, push
        self.expert = PictureExpert(2, tuple(widths), dim, dropout=0.2)
        self.judge = nn.Linear(dim, 1)

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of flow (B, L, 2, H, W)."""
        logits: Tensor = self.judge(self.tokens(streams["flow"]))[..., 0]
        return logits

    def tokens(self, flow: Tensor) -> Tensor:
        """Return tokens (B, L, D) of flow (B, L, 2, H, W)."""
        scaled = by_largest(flow) if self.flow_norm == "l3de" else normalise("flow", flow)
        tokens: Tensor = self.expert(scaled)
        return tokens

    def learn(
        self, streams: Mapping[str, Tensor], targets: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return step logits (B, L), and the weighted push loss () of the labelled steps."""
        tokens = self.tokens(streams["flow"])
        visual = targets[..., 0]
        fake, real = (tokens[mask & (visual == truth)] for truth in (1, 0))
        logits: Tensor = self.judge(tokens)[..., 0]
        return logits, self.push * push_loss(fake, real)


def by_largest(flow: Tensor) -> Tensor:
    """Return flow (B, L, 2, H, W) in [0, 1]: over twice the step's largest speed, plus 0.5."""
    flow = flow.float()
    largest = flow.norm(dim=2, keepdim=True).amax(dim=(3, 4), keepdim=True)
    return flow / (2 * largest.clamp(min=1e-6)) + 0.5


def push_loss(fake: Tensor, real: Tensor) -> Tensor:
    """Return the mean of exp(-d²) over fake features (M, D); 0 if either class is absent.

    d is the distance to the nearest real feature (N, D). Features are normalised first, so d is at
    most 2: without that, most pairs would be so far apart that the gradient vanished.
    """
    if not len(fake) or not len(real):
        return fake.new_zeros(())
    similarity = functional.normalize(fake, dim=-1) @ functional.normalize(real, dim=-1).T
    squared = 2 - 2 * similarity.amax(dim=1)  # of the nearest: |a - b|² of unit vectors
    return torch.exp(-squared).mean()
