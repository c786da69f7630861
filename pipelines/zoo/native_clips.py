"""Clips of a few frames at native resolution, for parts that read pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from extractors.media import file_sha256
from extractors.native import SHOWN, SIDE, native_crops, overlay_crops
from pipelines.storage.files import write_by
from pipelines.train.clips import TrainClip

NATIVE = "native"
# Streams of a few unresized frames: what cuts them from a file.
CROPS = {NATIVE: native_crops, "overlay": overlay_crops}


@dataclass(eq=False, kw_only=True)
class NativeClip(TrainClip):
    """A clip of a few frames at native resolution; its steps are those frames."""

    crops: Tensor  # (K, 3, 160, 160) uint8
    places: Tensor  # (K,) steps of the file
    stream: str = NATIVE  # of `CROPS`

    @property
    def steps(self) -> int:
        """K, the number of frames."""
        return len(self.crops)

    @property
    def names(self) -> set[str]:
        """The name of the crops alone: streams are on another clock."""
        return {self.stream}

    def targets(self) -> Tensor:
        """Return labels (K, 3) of the frames: 1 forged, 0 genuine, -1 unknown."""
        return self.sample.targets(0, int(self.places.max()) + 1)[self.places]

    def chunk(
        self,
        first: int,
        last: int,
        names: Sequence[str],
        rng: np.random.Generator | None,
        pictures: dict[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Return the crops of the frames [first, last), mirrored at random if `rng` is given.

        Mirroring is the only augmentation: an even width keeps blocks of 2x2 pixels whole, and
        anything else would erase the traces that these parts read.
        """
        crops = self.crops[first:last]
        mirrored = rng is not None and rng.random() < 0.5
        return {self.stream: crops.flip(-1) if mirrored else crops}


def native_clip(clip: TrainClip, folder: Path, stream: str = NATIVE) -> NativeClip | None:
    """Return a clip's frames at native resolution, cached in a folder; None if it has none.

    stream: which of `CROPS`.

    Raises:
        MediaError: the file cannot be decoded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = f"{file_sha256(clip.sample.path)}{SHOWN}{SIDE}"
    file = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.{stream}"
    if not file.exists():
        native = CROPS[stream](clip.sample.path)
        crops, places = native or (torch.empty(0), torch.empty(0))
        write_by(file, partial(save_file, {"crops": crops, "places": places}))
    kept = load_file(file)
    if not len(kept["crops"]):
        return None
    return NativeClip(
        clip.sample, None, None, crops=kept["crops"], places=kept["places"], stream=stream
    )
