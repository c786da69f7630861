"""Training of the liveness head on genuine crops, of which attacks on the camera are drawn.

It reads the tokens of the package's frozen picture encoder, and cues of moiré and gloss.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from extractors.encoder import VisionTransformer
from extractors.encoder_file import load_encoder
from extractors.encoder_store import encoder_sha256
from fusion.heads.liveness import LivenessHead
from pipelines.config import ConfigError, from_dict, load_config, to_dict
from pipelines.data.samples import Sample
from pipelines.detection.starter import ENCODER, check_encoder
from pipelines.forge.picture.presentation import ATTACKS, presented
from pipelines.metrics.attribution import mean_interval
from pipelines.metrics.classification import auc, bootstrap_interval
from pipelines.metrics.presentation import presentation_errors
from pipelines.storage.weights import load_into, load_weights, save_weights
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run, fit
from pipelines.train.recipe import TrainConfig, read_samples
from pipelines.train.stage import StageConfig
from pipelines.zoo.maps import genuine_faces
from temporal.zoo.presentation_cues import presentation_cues

FORMAT = "avdetect liveness 1"
CATEGORIES = ("genuine", *ATTACKS)
Row = dict[str, Any]  # a number and its interval by name


@dataclass(frozen=True)
class LivenessConfig:
    """The network and the training of the liveness head."""

    title: str  # for the table
    kind: Literal["liveness"]
    block: int = 6  # of the encoder, whose tokens are read
    draws: int = 2  # crops of each clip and category
    settings: dict[str, Any] = field(default_factory=dict)  # arguments of `LivenessHead`
    stage: StageConfig = field(default_factory=StageConfig)


@dataclass(frozen=True, eq=False)
class Presentations:
    """Crops as vectors, and what is before the camera in each."""

    vectors: Tensor  # (N, W)
    categories: Tensor  # (N,) index into `CATEGORIES`

    @property
    def kinds(self) -> list[str]:
        """The category of each by name."""
        return [CATEGORIES[index] for index in self.categories.tolist()]


def train_liveness(path: Path, data: Path, out: Path, overrides: Sequence[str] = ()) -> Path:
    """Train a liveness head by its YAML file, and return the path of its weights.

    Args:
        path: the head's YAML file.
        data: a training recipe (YAML), which names the genuine clips.
        out: folder of runs.
        overrides: settings of the head that differ, `key=value`.

    Raises:
        ConfigError: a file cannot be used, or there are no genuine faces.
        FileNotFoundError: a manifest does not exist.
    """
    config = load_config(LivenessConfig, path, overrides)
    recipe = load_config(TrainConfig, data)
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    samples = read_samples(recipe.data)
    encoder = load_encoder(ENCODER, config.block)
    train, val = (
        presentations(
            genuine_faces([s for s in samples if s.split == split], recipe, out),
            encoder, config, recipe.seed,
        )
        for split in ("train", "val")
    )  # fmt: skip
    run = Run(out / path.stem, recipe.seed, recipe.device, "float32")
    head = build_liveness(config, train.vectors.shape[1])
    fit_liveness(path.stem, head, train, val, config, run)
    weights = out / f"{path.stem}.safetensors"
    save_liveness(weights, head.eval(), config)
    return weights


def build_liveness(config: LivenessConfig, width: int) -> LivenessHead:
    """Return an untrained head; raises ConfigError where its class refuses the settings."""
    try:
        return LivenessHead(width, len(CATEGORIES), **config.settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"settings: {error}") from error


def presentations(
    clips: Sequence[TrainClip], encoder: VisionTransformer, config: LivenessConfig, seed: int
) -> Presentations:
    """Return crops of genuine clips, as they are and under each attack.

    Raises:
        ConfigError: there are no clips.
    """
    vectors, categories = [], []
    for index, clip in enumerate(clips):
        crops = []
        for category, kind in enumerate(CATEGORIES):
            rng = np.random.default_rng((seed, index, category))
            for step in rng.integers(0, clip.steps, config.draws).tolist():
                crop = clip.pictures(step, step + 1, ("appearance",))["appearance"]
                crops.append(presented(crop, kind, rng) if kind in ATTACKS else crop)
                categories.append(category)
        vectors.append(liveness_vectors(torch.cat(crops), encoder, config.block))
    if not vectors:
        raise ConfigError("there are no genuine clips with a face to draw attacks on")
    return Presentations(torch.cat(vectors), torch.tensor(categories))


@torch.no_grad()
def liveness_vectors(crops: Tensor, encoder: VisionTransformer, block: int) -> Tensor:
    """Return vectors (N, 2 * D + 4) of crops (N, 3, H, W) uint8.

    Mean and standard deviation of the patches' tokens after a block, and the cues.
    """
    first = int(encoder.config.class_token)
    patches = [encoder(batch, [block])[0][:, first:].cpu() for batch in encoder.batches(crops)]
    told = torch.cat([torch.cat([p.mean(dim=1), p.std(dim=1)], dim=1) for p in patches])
    return torch.cat([told, presentation_cues(crops)], dim=1)


def fit_liveness(
    stage: str, head: LivenessHead, train: Presentations, val: Presentations,
    config: LivenessConfig, run: Run,
) -> None:  # fmt: skip
    """Train a head in place, and set its threshold on held-out crops."""
    run.log(stage=stage, train=len(train.vectors), val=len(val.vectors))

    def batches(first: int, last: int) -> Iterator[Tensor]:
        for update in range(first, last):
            rng = np.random.default_rng((run.seed, update))
            yield torch.from_numpy(rng.integers(0, len(train.vectors), config.stage.batch))

    def loss_of(module: LivenessHead, picks: Tensor) -> Tensor:
        return module.loss(train.vectors[picks], train.categories[picks])

    def score_of(module: LivenessHead) -> float:
        return float((module(val.vectors).argmax(dim=1) == val.categories).float().mean())

    fit(stage, head, config.stage, run, batches, loss_of, score_of)
    head.eval().settle(val.vectors, val.categories)


def save_liveness(path: Path, head: LivenessHead, config: LivenessConfig) -> None:
    """Write a head's weights, its configuration and the digest of its encoder to one file."""
    metadata = {"config": json.dumps(to_dict(config)), "encoder": encoder_sha256(ENCODER)}
    save_weights(path, head.state_dict(), FORMAT, metadata)


def load_liveness(weights: Path) -> tuple[LivenessHead, LivenessConfig]:
    """Return a head ready for inference, and its configuration.

    Raises:
        WeightsError: the file holds no liveness head, or one of another encoder.
        ConfigError: its configuration is not that of a liveness head.
    """
    state, facts = load_weights(weights, FORMAT)
    check_encoder(weights, facts)
    config = from_dict(LivenessConfig, json.loads(facts["config"]), str(weights))
    head = build_liveness(config, len(state["normal.running_mean"]))
    load_into(head, weights, state)
    return head.eval(), config


def evaluate_liveness(
    weights: Path, samples: Sequence[Sample], recipe: TrainConfig, out: Path
) -> Row:
    """Return the errors of a liveness head on genuine faces and attacks drawn on them.

    Raises:
        ConfigError: the weights cannot be used, or there are no genuine faces.
    """
    head, config = load_liveness(weights)
    encoder = load_encoder(ENCODER, config.block)
    found = presentations(genuine_faces(samples, recipe, out), encoder, config, recipe.seed)
    return {"title": config.title, **measured_liveness(head, found)}


@torch.inference_mode()
def measured_liveness(head: LivenessHead, found: Presentations) -> Row:
    """Return accuracy, AUC, APCER of each attack, BPCER and ACER on presentations."""
    scores = head.attack_scores(found.vectors).numpy()
    right = (head(found.vectors).argmax(dim=1) == found.categories).numpy()
    attack = (found.categories > 0).numpy().astype(float)
    errors = presentation_errors(found.kinds, scores, float(head.threshold))
    return {
        "crops": len(scores), "right category": mean_interval(right),
        "AUC of attacks": (auc(attack, scores), *bootstrap_interval(auc, attack, scores)),
        **{f"APCER of {kind}": share for kind, share in errors.apcer_of.items()},
        "BPCER": errors.bpcer, "ACER": errors.acer,
    }  # fmt: skip
