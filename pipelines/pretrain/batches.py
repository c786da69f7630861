"""Batches of pre-training: chunks of clips, or single crops of faces with their regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipelines.pretrain.corpus import FaceLooks
from pipelines.stress.operators.coding import CODING
from pipelines.stress.operators.picture import LIGHT_AND_FOCUS
from pipelines.stress.perturb import SEVERITIES
from pipelines.train.batches import collate, random_chunk
from pipelines.train.clips import TrainClip
from pipelines.train.stage import StageConfig

DEGRADATIONS = LIGHT_AND_FOCUS | {name: CODING[name] for name in ("jpeg", "webp", "rescale")}


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


def degraded(batch: PretrainBatch, share: float) -> PretrainBatch:
    """Return a batch of which a share of the clips is degraded; `clean` has the crops as they were.

    Two to four operators in random order and of random severity, as CoLoRA's encoder is pre-trained
    (Park et al. 2024); none of them moves pixels.
    """
    rng = np.random.default_rng(batch.seed)
    clean = batch.streams["appearance"]
    crops = clean.clone()
    for clip in crops:
        if rng.random() < share:
            frames = np.ascontiguousarray(clip.permute(0, 2, 3, 1).numpy())
            for name in rng.choice(list(DEGRADATIONS), int(rng.integers(2, 5)), replace=False):
                frames = DEGRADATIONS[name](int(rng.choice(SEVERITIES)), rng)(frames)
            clip.copy_(torch.from_numpy(frames).permute(0, 3, 1, 2))
    return PretrainBatch(batch.streams | {"appearance": crops, "clean": clean}, batch.seed)


def _picks(count: int, size: int, rng: np.random.Generator) -> list[int]:
    """Return which of `count` clips are drawn; none twice, as long as there are enough."""
    picks: list[int] = rng.choice(count, size, replace=count < size).tolist()
    return picks
