"""The portrait stream: a frozen picture encoder's features of a face, and of the head around it.

A few frames a second are encoded, at the file's own resolution; every step holds the latest
features. Two squares are cut about the face's centre, eyes level: the face alone, and the head with
some of its background.
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

SIDES = {"face": 1.35, "head": 2.3}  # of a crop's square, in face sizes
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

        every: steps from one encoded frame to the next; steps of the file that it divides are
        encoded.

        Raises:
            InputError: a feature is of the class token, and the encoder has none.
        """
        self.encoder, self.every = encoder, every
        self.features = tuple(map(Feature.named, features))
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

    @torch.no_grad()
    def __call__(self, frames: Sequence[Frames], squares: Array, margin: float) -> Tensor:
        """Return features (K, F, D) float16 of K frames (H, W, 3).

        Args:
            frames: at their own resolution.
            squares: of the face crops (K, 4), `margin` times as wide as the face.
            margin: see `FaceConfig`.
        """
        values: dict[Feature, Tensor] = {}
        for scale in sorted({feature.scale for feature in self.features}):
            factor = np.array([1, 1, SIDES[scale] / margin, 1], np.float32)
            crops = np.stack(
                [
                    crop_square(frame, square * factor, (self.side, self.side))
                    for frame, square in zip(frames, squares, strict=True)
                ]
            )
            own = [feature for feature in self.features if feature.scale == scale]
            values |= self._encoded(torch.from_numpy(crops).permute(0, 3, 1, 2), own)
        return torch.stack([values[feature] for feature in self.features], dim=1)

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
    """The portrait stream of one face; keeps the latest features between calls."""

    def __init__(self, encoder: PortraitEncoder) -> None:
        self._encoder = encoder
        self._last: Tensor | None = None  # (1, F, D)

    def __call__(
        self, frames: Sequence[Frames], squares: Array, margin: float, first: int
    ) -> Tensor:
        """Return features (T, F, D) float16 of T frames, of which the first is step `first`."""
        steps = np.arange(first, first + len(frames))
        encoded = steps % self._encoder.every == 0
        if self._last is None:
            encoded[0] = True  # a face has features from its first step on
        chosen = np.flatnonzero(encoded)
        parts = [] if self._last is None else [self._last]
        if len(chosen):
            some = [frames[i] for i in chosen]
            parts.append(self._encoder(some, squares[chosen], margin))
        features = torch.cat(parts)
        latest = torch.from_numpy(np.cumsum(encoded)) - int(self._last is None)
        self._last = features[-1:]
        return features[latest]
