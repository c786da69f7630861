"""The portrait stream: a frozen picture encoder's features of a face, from several distances.

A frame or more a second is encoded, at the file's own resolution; every step holds the latest
features. Squares of several sizes are cut, eyes level: the face, its inner part, the mouth, and the
head with some of its background. They take turns, so that one more costs no time; an encoder sees
other artefacts where the same pixels fill more of its patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from extractors.clip import Array, Frames
from extractors.crops import crop_square
from extractors.encoder import VisionTransformer
from extractors.errors import InputError

SIDES = {"face": 1.35, "inner": 0.95, "mouth": 0.6, "head": 2.3}  # of a square, in face sizes
BATCH = 16  # crops that the encoder takes at once: bounds memory


@dataclass(frozen=True, order=True)
class Feature:
    """A feature vector of a crop, with one number per channel of the encoder."""

    scale: str  # which crop, a key of `SIDES`
    block: int  # the encoder's block after which tokens are taken
    statistic: str  # of these tokens, a key of `STATISTICS`

    @staticmethod
    def named(name: str) -> Feature:
        """Return the feature of a name such as `face/6/class`.

        Raises:
            InputError: there is none of this name.
        """
        scale, block, kind = (*name.split("/"), "", "")[:3]
        if scale not in SIDES or not block.isdigit() or kind not in STATISTICS:
            raise InputError(f"features are named as face/6/class, got {name!r}")
        return Feature(scale, int(block), kind)


def _class_token(tokens: Tensor, patches: int) -> Tensor:
    return tokens[:, 0]


def _mean(tokens: Tensor, patches: int) -> Tensor:
    return tokens[:, patches:].mean(dim=1)


def _spread(tokens: Tensor, patches: int) -> Tensor:
    return tokens[:, patches:].std(dim=1)


# of tokens (K, C + P, D), of which the first `patches` (C) are of no patch
STATISTICS = {"class": _class_token, "mean": _mean, "spread": _spread}


class PortraitEncoder:
    """A frozen encoder and the features that are computed from its tokens."""

    def __init__(self, encoder: VisionTransformer, features: Sequence[str], every: int) -> None:
        """Wrap an encoder.

        every: steps from one encoded crop to the next; steps of the file that it divides are
        encoded, at one scale after the other.

        Raises:
            InputError: a feature is of the class token, and the encoder has none.
        """
        self.encoder, self.every = encoder, every
        self.features = tuple(map(Feature.named, features))
        self.scales = tuple(dict.fromkeys(feature.scale for feature in self.features))
        self.patches = int(encoder.config.class_token)
        classes = [
            n for n, f in zip(features, self.features, strict=True) if f.statistic == "class"
        ]
        if classes and not self.patches:
            raise InputError(
                f"{encoder.config.name} has no class token, and so no features {classes}: name "
                "those of its patches, mean and spread"
            )
        self.side = encoder.config.image

    def of_scale(self, scale: str) -> list[Feature]:
        """Return the features of a scale, in their order."""
        return [feature for feature in self.features if feature.scale == scale]

    @torch.no_grad()
    def __call__(self, scale: str, frames: Sequence[Frames], places: Array) -> Tensor:
        """Return the features (K, F', D) float16 of a scale from K frames (H, W, 3).

        Args:
            scale: one of `scales`.
            frames: at their own resolution.
            places: centre x, y, face size in pixels and roll in radians (K, 4), the centre that of
                the face or of the mouth.
        """
        factor = np.array([1, 1, SIDES[scale], 1], np.float32)
        crops = np.stack(
            [
                crop_square(frame, place * factor, (self.side, self.side))
                for frame, place in zip(frames, places, strict=True)
            ]
        )
        features = self.of_scale(scale)
        values = self._encoded(torch.from_numpy(crops).permute(0, 3, 1, 2), features)
        return torch.stack([values[feature] for feature in features], dim=1)

    def _encoded(self, crops: Tensor, features: list[Feature]) -> dict[Feature, Tensor]:
        """Return each feature (K, D) of crops (K, 3, S, S)."""
        blocks = sorted({feature.block for feature in features})
        device = self.encoder.mean.device
        parts: dict[Feature, list[Tensor]] = {feature: [] for feature in features}
        for batch in torch.split(crops, BATCH):
            tokens = dict(zip(blocks, self.encoder(batch.to(device), blocks), strict=True))
            for feature in features:
                numbers = STATISTICS[feature.statistic](tokens[feature.block], self.patches)
                parts[feature].append(numbers.half().cpu())
        return {feature: torch.cat(batches) for feature, batches in parts.items()}


class PortraitExtractor:
    """The portrait stream of one face; keeps each scale's latest features between calls."""

    def __init__(self, encoder: PortraitEncoder) -> None:
        self._encoder = encoder
        self._last: dict[str, Tensor] = {}  # (1, F', D) of each scale

    def __call__(self, frames: Sequence[Frames], faces: Array, mouths: Array, first: int) -> Tensor:
        """Return features (T, F, D) float16 of T frames, of which the first is step `first`.

        Args:
            frames: T frames (H, W, 3) at their own resolution.
            faces: centre x, y, face size in pixels and roll in radians (T, 4).
            mouths: the same with the centre of the mouth.
            first: step of the file at which the frames begin.
        """
        encoder = self._encoder
        held = {
            scale: self._held(scale, turn, frames, mouths if scale == "mouth" else faces, first)
            for turn, scale in enumerate(encoder.scales)
        }
        taken = {scale: iter(stream.unbind(dim=1)) for scale, stream in held.items()}
        return torch.stack([next(taken[feature.scale]) for feature in encoder.features], dim=1)

    def _held(
        self, scale: str, turn: int, frames: Sequence[Frames], places: Array, first: int
    ) -> Tensor:
        """Return a scale's features (T, F', D), each step with the latest."""
        encoder, last = self._encoder, self._last.get(scale)
        steps = np.arange(first, first + len(frames))
        looked = (steps % encoder.every == 0) & (
            steps // encoder.every % len(encoder.scales) == turn
        )
        if last is None:
            looked[0] = True  # a face has features from its first step on
        chosen = np.flatnonzero(looked)
        parts = [] if last is None else [last]
        if len(chosen):
            parts.append(encoder(scale, [frames[i] for i in chosen], places[chosen]))
        features = torch.cat(parts)
        self._last[scale] = features[-1:]
        return features[torch.from_numpy(np.cumsum(looked)) - int(last is None)]
