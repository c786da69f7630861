"""Crops in, step logits out: many small patches vote on whether a picture was passed through.

Source: the two stages on laundered images of polimi-ispl/synthetic-image-detection, of which this
is one: its patches and how they are put together, with a small network in place of EfficientNet.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from temporal.zoo.patchcraft import random_patches
from temporal.zoo.texture import ResidualNetwork


class PatchVotes(nn.Module):
    """A small network judges patches from several frames; those that find most decide.

    All frames of a group get the same logit. A share of the highest lies above 0 where there is
    nothing to find: what reads the logit has to learn where its threshold is.
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
    """Return the mean (B,) of a share of votes (B, K): the highest, one at least."""
    count = max(round(share * votes.shape[1]), 1)
    return votes.topk(count, dim=1).values.mean(dim=1)
