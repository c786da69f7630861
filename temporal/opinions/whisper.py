"""The opinion on whether a speech recogniser's tokens vary as those of a real voice do."""

from __future__ import annotations

import torch
from torch import Tensor

from temporal.opinions.discriminant import Discriminant, around
from temporal.opinions.whisper_stem import TOKENS, WIDTH, WhisperListener


class WhisperOpinion(Discriminant, WhisperListener):
    """A linear discriminant on the standard deviation of Whisper's tokens around a step.

    Their means depend on words and speaker, and generalised less well to unseen synthesisers.
    """

    def __init__(self, reach: int) -> None:
        """Make an unfitted opinion, whose logits are 0.

        reach: steps to either side whose tokens describe a step; fewer at an edge.
        """
        super().__init__(WIDTH, shrinkage=10.0)
        self.reach = reach

    def describe(self, mel: Tensor, mask: Tensor) -> Tensor:
        """Return the tokens' standard deviation (N, L, 512) around each step of the sound.

        mel: (N, L, 80, 4) log-mel power.
        """
        with torch.autocast(mel.device.type, enabled=False):
            tokens = self.stem(self.levelled(mel, mask)).unflatten(
                1, (-1, TOKENS)
            )  # (N, L, 2, 512)
            valid = mask[..., None].to(tokens.dtype)
            share = around(valid, self.reach).clamp(min=1e-6)
            of_step = (tokens.mean(dim=2), tokens.square().mean(dim=2))
            mean, square = (around(x * valid, self.reach) / share for x in of_step)
            return (square - mean.square()).clamp(min=0).sqrt()
