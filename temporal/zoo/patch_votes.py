"""A detector in which many small patches vote on whether a generator re-rendered a picture.

Source: one of the two stages on laundered images of polimi-ispl/synthetic-image-detection: its
patches and their pooling, with a small network in place of EfficientNet.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from temporal.zoo.patches import random_patches
from temporal.zoo.texture import ResidualNetwork


class PatchVotes(nn.Module):
    """A small network on patches from several frames; the highest patch logits are averaged.

    All frames of a group get the same logit. The mean of the highest logits lies above 0 for real
    pictures too, so the threshold has to be calibrated.
    """

    def __init__(
        self,
        patches: int = 64,
        frames: int = 8,
        share: float = 0.75,
        width: int = 16,
        stream: str = "appearance",
    ) -> None:
        super().__init__()
        if not 0 < share <= 1:
            raise ValueError(f"share of the patches must be above 0 and at most 1, got {share}")
        self.patches, self.frames, self.share, self.stream = patches, frames, share, stream
        self.network = ResidualNetwork(width=width, stream="patches")

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of crops (B, L, 3, H, W)."""
        parts = []
        for group in torch.split(streams[self.stream], self.frames, dim=1):
            patches = random_patches(group, self.patches, anew=self.training)
            votes = self.network({"patches": patches})  # (B, K)
            parts.append(mean_of_highest(votes, self.share)[:, None].expand(-1, group.shape[1]))
        return torch.cat(parts, dim=1)


def mean_of_highest(votes: Tensor, share: float) -> Tensor:
    """Return the mean (B,) of the highest share of votes (B, K), at least one of them."""
    count = max(round(share * votes.shape[1]), 1)
    return votes.topk(count, dim=1).values.mean(dim=1)
