"""The opinion on an utterance: whether Whisper's tokens are distributed as those of a voice are.

Mean, spread and changes of the tokens over a few seconds, after the convolutions and after the
first block, and one linear rule on all of them. The rule also learns from pairs of genuine speech
and its resynthesis, conversion or imitation, which nothing but the synthesis tells apart.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temporal.opinions.discriminant import around
from temporal.opinions.paired import PairedRule
from temporal.opinions.whisper_stem import TOKENS, WIDTH, WhisperListener

STATISTICS = 6  # vectors of WIDTH: mean, spread and change, after the convolutions and the block


class UtteranceOpinion(PairedRule, WhisperListener):
    """A linear rule on the statistics of Whisper's tokens around a step."""

    def __init__(self, reach: int) -> None:
        """Make an unfitted opinion, whose logits are 0.

        reach: steps to either side whose tokens describe a step; fewer at an edge.
        """
        super().__init__(STATISTICS * WIDTH)
        self.reach = reach

    def describe(self, mel: Tensor, mask: Tensor) -> Tensor:
        """Return the tokens' statistics (N, L, 6 * 512) around each step of the sound.

        mel: (N, L, 80, 4) log-mel power.
        """
        with torch.autocast(mel.device.type, enabled=False):
            layers = self.stem.layers(self.levelled(mel, mask))
            return torch.cat([self._statistics(tokens, mask) for tokens in layers], dim=-1)

    def _statistics(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return mean, spread and change (N, L, 3 * 512) of tokens (N, 2L, 512).

        Change is the root mean square of the difference between a token and the one before it. The
        first token has none, and counts in neither sum.
        """
        valid = mask[..., None].to(tokens.dtype)
        share = around(valid, self.reach).clamp(min=1e-6)
        paired = tokens.reshape(*mask.shape, TOKENS, -1)  # (N, L, 2, 512)
        moments = (paired.mean(dim=2), paired.square().mean(dim=2))
        mean, square = (around(x * valid, self.reach) / share for x in moments)
        jumps = (tokens - tokens.roll(1, dims=1)).square().reshape(paired.shape)
        known = valid[:, :, None].expand(-1, -1, TOKENS, -1).clone()  # (N, L, 2, 1)
        known[:, 0, 0] = 0.0
        known[:, 1:, 0] *= valid[:, :-1]
        seen = around(known.sum(dim=2), self.reach).clamp(min=1e-6)
        change = around((jumps * known).sum(dim=2), self.reach) / seen
        spread = (square - mean.square()).clamp(min=0)
        return torch.cat([mean, spread.sqrt(), change.sqrt()], dim=-1)
