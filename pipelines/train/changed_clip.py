"""Training clips whose crops and sound pass through something before anything else happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from extractors.clip import Array, Frames
from pipelines.train.clips import TrainClip


@dataclass(eq=False, kw_only=True)
class ChangedClip(TrainClip):
    """A clip as codecs or other changes leave it."""

    of_crops: Callable[[Frames], Frames]  # (T, H, W, 3) uint8 -> the same
    of_sound: Callable[[Array], Array]  # (S,) float32 at 16 kHz -> the same

    def seen(self, pictures: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return picture streams of which the crops are changed."""
        if "appearance" not in pictures:
            return pictures
        frames = pictures["appearance"].permute(0, 2, 3, 1).contiguous().numpy()
        changed = torch.from_numpy(self.of_crops(frames)).permute(0, 3, 1, 2)
        return {**pictures, "appearance": changed.contiguous()}

    def retold(self, piece: Array) -> Array:
        """Return a changed piece (S,) of the sound."""
        return self.of_sound(piece)
