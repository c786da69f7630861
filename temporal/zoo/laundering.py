"""A two-stage detector of patches: real, laundered or synthetic, or no answer.

Laundered pictures are real ones that went through the encoder and decoder of a generator.

Source: the two-stage verdict of polimi-ispl/synthetic-image-detection, whose networks are replaced
by small ones, and its thresholds of zero by such as leave room for no answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from temporal.experts import normalise
from temporal.segment import MODALITIES
from temporal.zoo.patch_votes import mean_of_highest
from temporal.zoo.patches import random_patches
from temporal.zoo.reconstruction import AutoEncoder
from temporal.zoo.texture import ResidualNetwork

ORIGINS = ("real", "laundered", "synthetic")
NO_ANSWER = -1  # in place of the index of an origin
PREFIX = "plain."  # of the auto-encoder in the weights of the part `rebuilt`


class LaunderingVotes(nn.Module):
    """Votes of patches on whether a generator rendered them, and then on whether it made them up.

    The score of a stage is the mean of the highest votes. The second stage is positive for
    laundered pictures, and is asked only of those that the first one calls rendered. In training,
    genuine clips that an auto-encoder of genuine faces rebuilt are the laundered ones; forged clips
    are the synthetic ones.

    Args:
        weights: safetensors of the part `rebuilt`, which holds the auto-encoder; None: untrained.
        patches: of a group of frames.
        frames: of a group.
        share: of the patches, whose highest votes count.
        risk: share of either side that a threshold may get wrong; what lies between has no answer.
        width: channels of the networks.
    """

    levels: Tensor  # (2, 2) of each stage: up to the first negative, from the second on positive

    def __init__(
        self,
        weights: str | None = None,
        patches: int = 64,
        frames: int = 8,
        share: float = 0.75,
        risk: float = 0.05,
        width: int = 16,
    ) -> None:
        super().__init__()
        if not (0 < share <= 1 and 0 < risk < 0.5):
            raise ValueError(f"expected 0 < share <= 1 and 0 < risk < 0.5, got {share} and {risk}")
        self.patches, self.frames, self.share, self.risk = patches, frames, share, risk
        self.stages = nn.ModuleList(ResidualNetwork(width=width, stream="patches") for _ in "12")
        self.launderer = AutoEncoder().requires_grad_(False)
        if weights is not None:
            held = load_file(Path(weights)).items()
            own = {n.removeprefix(PREFIX): t for n, t in held if n.startswith(PREFIX)}
            self.launderer.load_state_dict(own)
        self.register_buffer("levels", torch.zeros(2, 2))

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of the first stage, above 0: rendered by a generator."""
        crops = streams["appearance"]
        return self.scores(crops)[0] - self.levels[0].mean()

    def scores(self, crops: Tensor) -> Tensor:
        """Return the scores (2, B, L) of both stages for crops (B, L, 3, H, W) of levels."""
        parts = []
        for group in torch.split(crops, self.frames, dim=1):
            patches = random_patches(group, self.patches, anew=self.training)
            votes = [stage({"patches": patches}) for stage in self.stages]  # (B, K) each
            pooled = torch.stack([mean_of_highest(vote, self.share) for vote in votes])
            parts.append(pooled[..., None].expand(-1, -1, group.shape[1]))
        return torch.cat(parts, dim=2)

    @torch.no_grad()
    def laundered(self, crops: Tensor) -> Tensor:
        """Return crops (B, L, 3, H, W) uint8 as the auto-encoder rebuilds them, uint8."""
        rebuilt = self.launderer(normalise("appearance", crops).flatten(0, 1))
        levels = (64 * rebuilt + 128).round().clamp(0, 255)  # undoes `normalise`
        return levels.byte().reshape(crops.shape)

    def learn(
        self, streams: Mapping[str, Tensor], targets: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the first stage's logits (B, L), and both stages' losses () on laundered crops."""
        crops = streams["appearance"]
        visual = targets[..., MODALITIES.index("visual")]
        genuine = ((visual == 0) & mask).any(dim=1) & ~((visual == 1) & mask).any(dim=1)
        forged = (visual == 1) & mask
        said = self.scores(crops)
        made_up = _entropy(said[1], torch.zeros_like(visual), forged)
        if not bool(genuine.any()):
            return said[0], made_up
        passed = self.scores(self.laundered(crops[genuine]))
        ones, inside = torch.ones_like(passed[0]), mask[genuine]
        again = _entropy(passed[0], ones, inside) + _entropy(passed[1], ones, inside)
        return said[0], made_up + again

    @torch.inference_mode()
    def settle(self, clips: Sequence[Mapping[str, Tensor]], forged: Sequence[bool]) -> None:
        """Set the levels of both stages on held-out clips, streams (1, L, ...) of each."""
        kinds: dict[str, list[Tensor]] = {name: [] for name in ORIGINS}
        for streams, fake in zip(clips, forged, strict=True):
            crops = streams["appearance"]
            kinds["synthetic" if fake else "real"].append(self._of_clip(crops))
            if not fake:
                kinds["laundered"].append(self._of_clip(self.laundered(crops)))
        real, laundered, synthetic = (torch.stack(kinds[name]) for name in ORIGINS)
        rendered = torch.cat([laundered, synthetic])
        first = abstaining_levels(real[:, 0], rendered[:, 0], self.risk)
        second = abstaining_levels(synthetic[:, 1], laundered[:, 1], self.risk)
        self.levels.copy_(torch.stack([torch.stack(first), torch.stack(second)]))

    def describe(self, streams: Mapping[str, Tensor]) -> dict[str, float | str | None]:
        """Return the origin of one clip's picture, None: no answer, and both stages' scores."""
        first, second = self._of_clip(streams["appearance"])
        index = int(origins(first[None], second[None], self.levels)[0])
        asked = float(first) > float(self.levels[0, 0])  # the second stage, of what may be rendered
        return {
            "origin": None if index == NO_ANSWER else ORIGINS[index],
            "rendered": float(first),
            "laundered rather than synthetic": float(second) if asked else None,
        }

    def _of_clip(self, crops: Tensor) -> Tensor:
        """Return the scores (2,) of a clip, crops (1, L, 3, H, W)."""
        return self.scores(crops).mean(dim=(1, 2))


def abstaining_levels(below: Tensor, above: Tensor, risk: float) -> tuple[Tensor, Tensor]:
    """Return two levels (), up to and from which a score counts as of one side and of the other.

    At most a share `risk` of the scores above lies up to the first, and of those below from the
    second on. Between them there is no answer; where the sides lie further apart, both levels are
    the middle. They also take away the bias by which the mean of the highest votes lies above 0.

    Args:
        below: (N,) scores of the negative side.
        above: (M,) of the positive side.
        risk: above 0, below one half.
    """
    low, high = above.quantile(risk), below.quantile(1 - risk)
    middle = (low + high) / 2
    return torch.minimum(low, middle), torch.maximum(high, middle)


def origins(first: Tensor, second: Tensor, levels: Tensor) -> Tensor:
    """Return the origins (N,) by both stages' scores (N,): an index of `ORIGINS`, or `NO_ANSWER`.

    Whatever the second stage says, what is negative in the first is real.
    """
    (low, high), (other_low, other_high) = levels
    rendered = torch.full_like(first, NO_ANSWER).long()
    rendered[second >= other_high] = ORIGINS.index("laundered")
    rendered[second < other_low] = ORIGINS.index("synthetic")
    found = torch.where(first >= high, rendered, torch.full_like(rendered, NO_ANSWER))
    return torch.where(first < low, torch.zeros_like(found), found)


def _entropy(logits: Tensor, targets: Tensor, inside: Tensor) -> Tensor:
    """Return the mean cross-entropy () of logits (B, L) inside a mask (B, L); 0 without any."""
    each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (each * inside).sum() / inside.sum().clamp(min=1)
