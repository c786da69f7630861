"""The anomaly map of the package's frozen encoder: its prototypes, and its measured maps.

Nothing is trained by forgeries: prototypes are means over genuine crops and their noisy copies.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from extractors.encoder import VisionTransformer
from extractors.encoder_file import load_encoder
from extractors.encoder_store import encoder_sha256
from pipelines.config import ConfigError, from_dict, load_config, to_dict
from pipelines.data.samples import Sample
from pipelines.detection.starter import ENCODER, check_encoder
from pipelines.metrics.attribution import mean_interval
from pipelines.storage.weights import load_into, load_weights, save_weights
from pipelines.train.clips import TrainClip
from pipelines.train.recipe import TrainConfig, read_samples
from pipelines.zoo.map_board import ON_FACE, clip_numbers, split_in_two
from pipelines.zoo.maps import FORGED, MapChunk, genuine_faces, held_chunks
from temporal.zoo.anomaly_map import AnomalyMap, unit

FORMAT = "avdetect anomaly 1"
Row = dict[str, Any]  # a number and its interval by name


@dataclass(frozen=True)
class AnomalyConfig:
    """The anomaly map."""

    title: str  # for the table
    kind: Literal["anomaly"]
    first: int = 3  # blocks of the encoder before those whose values attend to each other
    last: int = 6  # of its blocks that run at all
    noise: float = 15.0  # levels, standard deviation of the noise of anomalous crops
    crops: int = 4  # of each genuine clip
    adapt: bool = True  # whether each clip gets an adapter

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.last:
            raise ValueError(f"first must lie from 0 to below last, got {self.first}, {self.last}")


class AnomalyLocator:
    """An encoder and the anomaly map that reads its tokens."""

    def __init__(self, encoder: VisionTransformer, head: AnomalyMap, first: int) -> None:
        self.encoder, self.head, self.first = encoder, head.eval(), first

    @torch.no_grad()
    def tokens(self, crops: Tensor) -> Tensor:
        """Return the tokens (L, P, D) of crops (L, 3, H, W), levels from 0 to 255."""
        batches = self.encoder.batches(crops)
        return torch.cat([self.encoder.value_tokens(batch, self.first) for batch in batches])

    @torch.no_grad()
    def __call__(self, crops: Tensor) -> Tensor:
        """Return maps (L, 28, 28), 0 to 1, of the crops (L, 3, H, W) of one clip."""
        maps: Tensor = self.head(self.tokens(crops))
        return maps.float().cpu()

    def learn(self, clips: Sequence[TrainClip], config: AnomalyConfig, seed: int) -> None:
        """Set the prototypes by genuine clips and their noisy copies.

        Raises:
            ConfigError: there are no clips.
        """
        if not clips:
            raise ConfigError("there are no genuine clips with a face to learn prototypes from")
        generator = torch.Generator().manual_seed(seed)
        genuine, noisy = [], []
        for clip in clips:
            every = max(1, clip.steps // config.crops)
            crops = clip.pictures(0, clip.steps, ("appearance",))["appearance"][::every].float()
            noise = config.noise * torch.randn(crops.shape, generator=generator)
            genuine.append(unit(self.tokens(crops)).mean(dim=1))  # of as many tokens each
            noisy.append(unit(self.tokens((crops + noise).clamp(0, 255))).mean(dim=1))
        self.head.settle(torch.cat(genuine), torch.cat(noisy))


def train_anomaly(path: Path, data: Path, out: Path, overrides: Sequence[str] = ()) -> Path:
    """Learn the prototypes of an anomaly map by its YAML file, and return the path of its weights.

    Args:
        path: the map's YAML file.
        data: a training recipe (YAML), of which the genuine clips of `calibration` are taken.
        out: folder of runs.
        overrides: settings of the map that differ, `key=value`.

    Raises:
        ConfigError: a file cannot be used, or there are no genuine faces.
        FileNotFoundError: a manifest does not exist.
    """
    config = load_config(AnomalyConfig, path, overrides)
    recipe = load_config(TrainConfig, data)
    torch.set_num_threads(recipe.threads)
    samples = [s for s in read_samples(recipe.data) if s.split == "calibration"]
    encoder = load_encoder(ENCODER, config.last)
    locator = AnomalyLocator(encoder, AnomalyMap(encoder.config.width), config.first)
    locator.learn(genuine_faces(samples, recipe, out), config, recipe.seed)
    weights = out / f"{path.stem}.safetensors"
    metadata = {"config": json.dumps(to_dict(config)), "encoder": encoder_sha256(ENCODER)}
    save_weights(weights, locator.head.state_dict(), FORMAT, metadata)
    return weights


def load_anomaly(weights: Path) -> tuple[AnomalyLocator, AnomalyConfig]:
    """Return an anomaly map on the package's encoder, and its configuration.

    Raises:
        WeightsError: the file holds no anomaly map, or one of another encoder.
        ConfigError: its configuration is not that of an anomaly map.
    """
    state, facts = load_weights(weights, FORMAT)
    check_encoder(weights, facts)
    config = from_dict(AnomalyConfig, json.loads(facts["config"]), str(weights))
    encoder = load_encoder(ENCODER, config.last)
    head = AnomalyMap(encoder.config.width, config.adapt)
    load_into(head, weights, state)
    return AnomalyLocator(encoder, head, config.first), config


def evaluate_anomaly(
    weights: Path, samples: Sequence[Sample], recipe: TrainConfig, out: Path
) -> Row:
    """Return the metrics of an anomaly map on genuine faces that are forged on the way.

    Raises:
        ConfigError: the weights cannot be used.
    """
    locator, config = load_anomaly(weights)
    held = held_chunks(genuine_faces(samples, recipe, out), recipe.seed)
    return {"title": config.title, **measured_anomaly(locator, held)}


def measured_anomaly(locator: AnomalyLocator, chunks: Sequence[MapChunk]) -> Row:
    """Return the means over clips of how well forged cells are told from the others."""
    usable = [chunk for chunk in chunks if split_in_two(chunk.truth > FORGED)]
    numbers = [clip_numbers(locator(chunk.crops), chunk, 0.5) for chunk in usable]
    told = {name: [n[name] for n in numbers] for name in ("AUC of cells", ON_FACE)}
    return {"clips": len(usable)} | {
        name: mean_interval(values) for name, values in told.items() if values
    }
