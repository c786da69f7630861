"""Training of a map of forgeries on genuine crops forged on the fly, which gives exact labels.

The map reads features of the detector's appearance expert, and is tied to its weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from fusion.heads.closed import best_of_f1
from pipelines.config import ConfigError, load_config, to_dict
from pipelines.data.samples import Sample
from pipelines.detection.starter import STARTER, experts_sha256
from pipelines.evidence.forgery_map import FORMAT, Locator, stem_of
from pipelines.forge.picture.training_crops import forge_crops
from pipelines.metrics.classification import auc
from pipelines.storage.weights import save_weights
from pipelines.train.augment import retaken
from pipelines.train.batches import other_crops
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run, fit
from pipelines.train.recipe import TrainConfig, read_samples
from pipelines.train.stage import StageConfig
from pipelines.zoo.head_clips import opening_detector
from pipelines.zoo.parts import PartConfig, load_part_clips
from temporal.forgery_map import ForgeryMap, face_cells, grey_map, in_cells, map_loss, seen_by
from temporal.pixel_contrast import PixelContrast

STREAMS = ("appearance", "depth")
FORGED = 0.1  # share of a clip's largest difference above which a cell counts as forged
HELD = 4  # steps of each held-out clip


@dataclass(frozen=True)
class MapConfig:
    """The network and the training of a map of forgeries."""

    title: str  # for the table
    kind: Literal["map"]
    forged: float = 0.7  # share of the crops that are forged on the fly
    contrast: float = 0.0  # weight of the contrast of cells; RTM's is 0.05
    settings: dict[str, Any] = field(default_factory=dict)  # arguments of `ForgeryMap`
    stage: StageConfig = field(default_factory=StageConfig)


@dataclass(frozen=True, eq=False)
class MapChunk:
    """Crops of one or more clips, concatenated, and how far each of their cells is forged."""

    crops: Tensor  # (N, 3, 112, 112) uint8
    face: Tensor  # (N, 28, 28) > 0 in the face
    truth: Tensor  # (N, 28, 28) in [0, 1]


def train_map(path: Path, data: Path, out: Path, overrides: Sequence[str] = ()) -> Path:
    """Train a map by its YAML file, and return the path of its weights.

    Args:
        path: the map's YAML file.
        data: a training recipe (YAML), which names the genuine clips.
        out: folder of runs; an interrupted run resumes.
        overrides: settings of the map that differ, `key=value`.

    Raises:
        ConfigError: a file cannot be used, or there are no genuine faces.
        FileNotFoundError: a manifest does not exist.
    """
    config = load_config(MapConfig, path, overrides)
    recipe = load_config(TrainConfig, data)
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    samples = read_samples(recipe.data)
    train, val = (
        genuine_faces([s for s in samples if s.split == split], recipe, out)
        for split in ("train", "val")
    )
    if not train or not val:
        raise ConfigError(f"{data}: no genuine clips with a face to learn a map from")
    run = Run(out / path.stem, recipe.seed, recipe.device, recipe.precision)
    run.log(stage=path.stem, train=len(train), val=len(val))
    decoder = ForgeryMap(**config.settings).to(run.device)
    stem = stem_of(opening_detector()).to(run.device)
    fit_map(path.stem, decoder, stem, train, val, config, run)
    decoder.at_even_odds(config.forged)
    settle_map(Locator(stem, decoder), held_chunks(val, recipe.seed))
    weights = out / f"{path.stem}.safetensors"
    save_map(weights, decoder, config, len(train))
    return weights


def genuine_faces(samples: Sequence[Sample], recipe: TrainConfig, out: Path) -> list[TrainClip]:
    """Return the clips of samples whose picture is genuine and shows a face."""
    genuine = [s for s in samples if s.visual == ()]
    return load_part_clips(PartConfig("crops", "none", "visual", STREAMS), genuine, recipe, out)


def fit_map(
    stage: str, decoder: ForgeryMap, stem: nn.Sequential, train: Sequence[TrainClip],
    val: Sequence[TrainClip], config: MapConfig, run: Run,
) -> None:  # fmt: skip
    """Train a decoder in place; the stem is frozen."""
    size, length = config.stage.batch, config.stage.length

    def batches(first: int, last: int) -> Iterator[MapChunk]:
        for update in range(first, last):
            rng = np.random.default_rng((run.seed, update))
            drawn = [train[i] for i in rng.choice(len(train), size)]
            yield joined([map_chunk(c, length, drawn, config.forged, rng, retake=True)
                          for c in drawn])  # fmt: skip

    def decoded(module: TaughtMap, chunk: MapChunk) -> Tensor:
        seen = seen_by(stem, chunk.crops.to(run.device))
        return module.decoder.features(seen, chunk.face.to(run.device))

    def loss_of(module: TaughtMap, chunk: MapChunk) -> Tensor:
        return module.loss(decoded(module, chunk).float(), chunk.truth.to(run.device))

    held = held_chunks(val, run.seed)

    def score_of(module: TaughtMap) -> float:
        logits = [module.decoder.logits_of(decoded(module, chunk)).cpu() for chunk in held]
        return cell_auc(logits, held)

    taught = TaughtMap(decoder, config.contrast).to(run.device)
    fit(stage, taught, config.stage, run, batches, loss_of, score_of)


class TaughtMap(nn.Module):
    """A decoder with the contrast of its cells, if any, which only training needs."""

    def __init__(self, decoder: ForgeryMap, weight: float) -> None:
        super().__init__()
        self.decoder, self.weight = decoder, weight
        self.contrast = PixelContrast(decoder.out.in_channels) if weight else None

    def loss(self, decoded: Tensor, truth: Tensor) -> Tensor:
        """Return the loss () of what was decoded (N, C, 28, 28) for a true map (N, 28, 28)."""
        loss = map_loss(self.decoder.logits_of(decoded), truth)
        if self.contrast is None:
            return loss
        return loss + self.weight * self.contrast(decoded, truth > FORGED)


@torch.no_grad()
def settle_map(locator: Locator, held: Sequence[MapChunk]) -> None:
    """Set the threshold of a map's cells to that of the best F1 on held-out forgeries."""
    scores = torch.cat([locator(chunk.crops, chunk.face) for chunk in held])
    truth = torch.cat([chunk.truth for chunk in held]) > FORGED
    best = best_of_f1(scores.flatten(), truth.flatten().float())
    locator.decoder.threshold.copy_(best)


def held_chunks(clips: Sequence[TrainClip], seed: int, forged: float = 1.0) -> list[MapChunk]:
    """Return fixed steps of each clip, a share of them forged."""
    return [
        joined([map_chunk(clip, 1, clips, forged, np.random.default_rng((seed, index, again)))
                for again in range(HELD)])
        for index, clip in enumerate(clips)
    ]  # fmt: skip


def cell_auc(scores: Sequence[Tensor], chunks: Sequence[MapChunk]) -> float:
    """Return the AUC of scores (N, 28, 28) for forged cells, on and off faces."""
    truth = torch.cat([chunk.truth for chunk in chunks]).flatten() > FORGED
    return auc(truth.int().numpy(), torch.cat(list(scores)).flatten().float().numpy())


def map_chunk(
    clip: TrainClip, length: int, donors: Sequence[TrainClip], forged: float,
    rng: np.random.Generator, retake: bool = False,
) -> MapChunk:  # fmt: skip
    """Return a stretch of a genuine clip, forged with probability `forged`, and its exact labels.

    retake: also change light, focus and compression, of forged and genuine pixels alike.
    """
    begin = int(rng.integers(0, max(clip.steps - length, 0) + 1))
    end = min(begin + length, clip.steps)
    streams = clip.pictures(begin, end, STREAMS)
    crops, depth = streams["appearance"], streams["depth"]
    made = crops
    if rng.random() < forged:
        made, _ = forge_crops(crops, depth, other_crops(clip, donors, end - begin, rng), rng)
    parts = [in_cells(grey_map(crops, made)), face_cells(depth)]
    if retake:
        made = retaken(made, rng, shift=0)
        if rng.random() < 0.5:
            made, parts = made.flip(-1), [part.flip(-1) for part in parts]
    return MapChunk(made, face=parts[1], truth=parts[0])


def joined(chunks: Sequence[MapChunk]) -> MapChunk:
    """Return the concatenation of chunks."""
    return MapChunk(
        torch.cat([c.crops for c in chunks]), torch.cat([c.face for c in chunks]),
        torch.cat([c.truth for c in chunks]),
    )  # fmt: skip


def save_map(path: Path, decoder: ForgeryMap, config: MapConfig, clips: int) -> None:
    """Write a map's weights, its configuration and the digest of its experts to one file."""
    metadata = {
        "config": json.dumps(to_dict(config)), "clips": str(clips),
        "experts": experts_sha256(STARTER),
    }  # fmt: skip
    save_weights(path, decoder.state_dict(), FORMAT, metadata)
