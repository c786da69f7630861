"""The portrait stream: what a frozen picture encoder sees of a face, and of the head around it.

A few frames a second are looked at, at the file's own resolution; every step holds what was seen
last. Two squares are cut about the face's centre, eyes level: the face alone, and the head with
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

SIDES = {"face": 1.35, "head": 2.3}  # of a crop's square, in face sizes
BATCH = 16  # crops that the encoder takes at once: bounds memory


@dataclass(frozen=True, order=True)
class Feature:
    """Numbers of a crop, one a channel of the encoder."""

    scale: str  # which crop, one of SIDES
    block: int  # after how many blocks of the encoder
    statistic: str  # of the tokens there, see `statistic`

    @staticmethod
    def named(name: str) -> Feature:
        """Return the feature of a name such as `face/6/class`.

        Raises:
            ValueError: there is none of this name.
        """
        scale, block, kind = (*name.split("/"), "", "")[:3]
        if scale not in SIDES or not block.isdigit() or kind not in STATISTICS:
            raise ValueError(f"features are named as face/6/class, got {name!r}")
        return Feature(scale, int(block), kind)


def _class_token(tokens: Tensor) -> Tensor:
    return tokens[:, 0]


def _mean(tokens: Tensor) -> Tensor:
    return tokens[:, 1:].mean(dim=1)


def _spread(tokens: Tensor) -> Tensor:
    return tokens[:, 1:].std(dim=1)


STATISTICS = {"class": _class_token, "mean": _mean, "spread": _spread}


class PortraitEncoder:
    """A frozen encoder, and the features that are taken of its tokens."""

    def __init__(self, encoder: VisionTransformer, features: Sequence[str], every: int) -> None:
        """Take an encoder.

        every: steps from one look to the next; those of the file that it divides are looked at.
        """
        self.encoder, self.every = encoder, every
        self.features = tuple(map(Feature.named, features))
        self.side = encoder.config.image

    @torch.no_grad()
    def __call__(self, frames: Sequence[Frames], squares: Array, margin: float) -> Tensor:
        """Return features (K, F, D) float16 of K frames (H, W, 3).

        Args:
            frames: at their own resolution.
            squares: of the face crops (K, 4), `margin` times as wide as the face.
            margin: see `FaceConfig`.
        """
        seen: dict[Feature, Tensor] = {}
        for scale in sorted({feature.scale for feature in self.features}):
            factor = np.array([1, 1, SIDES[scale] / margin, 1], np.float32)
            crops = np.stack(
                [
                    crop_square(frame, square * factor, (self.side, self.side))
                    for frame, square in zip(frames, squares, strict=True)
                ]
            )
            mine = [feature for feature in self.features if feature.scale == scale]
            seen |= self._seen(torch.from_numpy(crops).permute(0, 3, 1, 2), mine)
        return torch.stack([seen[feature] for feature in self.features], dim=1)

    def _seen(self, crops: Tensor, features: list[Feature]) -> dict[Feature, Tensor]:
        """Return each feature (K, D) of crops (K, 3, S, S)."""
        blocks = sorted({feature.block for feature in features})
        device = self.encoder.positions.device
        parts: dict[Feature, list[Tensor]] = {feature: [] for feature in features}
        for batch in torch.split(crops, BATCH):
            tokens = dict(zip(blocks, self.encoder(batch.to(device), blocks), strict=True))
            for feature in features:
                numbers = STATISTICS[feature.statistic](tokens[feature.block])
                parts[feature].append(numbers.half().cpu())
        return {feature: torch.cat(found) for feature, found in parts.items()}


class PortraitExtractor:
    """The portrait of one face; keeps what was seen last between calls."""

    def __init__(self, encoder: PortraitEncoder) -> None:
        self._encoder = encoder
        self._last: Tensor | None = None  # (1, F, D)

    def __call__(
        self, frames: Sequence[Frames], squares: Array, margin: float, first: int
    ) -> Tensor:
        """Return features (T, F, D) float16 of T frames, of which the first is step `first`."""
        steps = np.arange(first, first + len(frames))
        looked = steps % self._encoder.every == 0
        if self._last is None:
            looked[0] = True  # a face is seen from its first step on
        chosen = np.flatnonzero(looked)
        seen = [] if self._last is None else [self._last]
        if len(chosen):
            some = [frames[i] for i in chosen]
            seen.append(self._encoder(some, squares[chosen], margin))
        features = torch.cat(seen)
        latest = torch.from_numpy(np.cumsum(looked)) - int(self._last is None)
        self._last = features[-1:]
        return features[latest]
