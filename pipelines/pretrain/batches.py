"""Batches of pre-training: chunks of clips, or single crops of faces with their regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipelines.pretrain.corpus import FaceLooks
from pipelines.train.batches import collate, random_chunk
from pipelines.train.clips import TrainClip
from pipelines.train.stage import StageConfig


@dataclass(frozen=True, eq=False)
class PretrainBatch:
    """Streams, and the seed of what is hidden of them."""

    streams: dict[str, Tensor]  # (B, L, ...) by name, labels (B, L, 3) as `targets` among them
    seed: int


def clip_batch(
    clips: Sequence[TrainClip], reads: Sequence[str], stage: StageConfig, key: Sequence[int]
) -> PretrainBatch:
    """Return a batch of random chunks, augmented as in any other training; same key, same batch."""
    rng = np.random.default_rng(key)
    drawn = [clips[i] for i in _picks(len(clips), stage.batch, rng)]
    chunks = [
        random_chunk(
            clip, stage.length, reads, np.random.default_rng((*key, place)), drawn, stage.forged
        )
        for place, clip in enumerate(drawn)
    ]
    batch = collate(chunks)
    return PretrainBatch(batch.streams | {"targets": batch.targets}, int(rng.integers(2**31)))


def look_batch(looks: Sequence[FaceLooks], size: int, key: Sequence[int]) -> PretrainBatch:
    """Return a batch of crops (B, 1, ...) with their regions, half of them mirrored."""
    rng = np.random.default_rng(key)
    crops, regions = [], []
    for face in (looks[i] for i in _picks(len(looks), size, rng)):
        place = int(rng.integers(len(face.crops)))
        pair = face.crops[place], face.regions[place]
        if rng.random() < 0.5:
            pair = pair[0].flip(-1), pair[1].flip(-1)
        crops.append(pair[0])
        regions.append(pair[1])
    streams = {"appearance": torch.stack(crops)[:, None], "regions": torch.stack(regions)[:, None]}
    return PretrainBatch(streams, int(rng.integers(2**31)))


def _picks(count: int, size: int, rng: np.random.Generator) -> list[int]:
    """Return which of `count` clips are drawn; none twice, as long as there are enough."""
    picks: list[int] = rng.choice(count, size, replace=count < size).tolist()
    return picks
