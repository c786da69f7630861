"""The recipe of a pre-training: which objective, which encoder, which corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from extractors.encoder import EncoderConfig, VisionTransformer
from extractors.encoder_file import load_encoder
from pipelines.config import ConfigError
from pipelines.pretrain.corpus import CorpusConfig
from pipelines.pretrain.corpus_policy import CorpusPolicy
from pipelines.train.stage import StageConfig
from temporal.pretraining.autoencoder import start_anew
from temporal.pretraining.fsfm import Fsfm
from temporal.pretraining.m3i import M3i
from temporal.pretraining.selfie import Selfie
from temporal.pretraining.video_mae import VideoMae

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation of RGB in [0, 1]
# A module that returns the loss of streams by name and a generator of what is hidden of them, has
# its `encoder`, names what it `reads`, and knows the loss by `chance`.
Objective = Fsfm | VideoMae | Selfie | M3i
OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "fsfm": Fsfm, "video-mae": VideoMae, "selfie": Selfie, "m3i": M3i,
}  # fmt: skip


@dataclass(frozen=True)
class NetworkConfig:
    """A small vision transformer that begins with random weights."""

    width: int = 128
    heads: int = 4
    layers: int = 4
    patch: int = 8  # pixels a side
    image: int = 112  # pixels a side

    @property
    def encoder(self) -> EncoderConfig:
        """The encoder's whole configuration."""
        mean, deviation = IMAGENET
        return EncoderConfig(
            "pretrained", self.width, self.heads, 4 * self.width, self.layers, self.patch,
            self.image, "gelu", pre_norm=False, eps=1e-6, mean=mean, deviation=deviation,
            patch_bias=True,
        )  # fmt: skip


@dataclass(frozen=True)
class AdapterConfig:
    """What is learned of an encoder that has learned before; all else of it is frozen."""

    kind: Literal["none", "colora", "dvpt"] = "none"  # none: nothing is frozen
    # colora: numbers of all low-rank changes, as a share of the blocks' matrices, and the updates
    # of the whole fine-tuning that tells what each matrix contributes.
    budget: float = 0.05
    trial: int = 100
    prompts: int = 8  # dvpt: questions that are asked of the tokens before each block


@dataclass(frozen=True)
class PretrainConfig:
    """One pre-training."""

    corpus: CorpusConfig
    out: str = "runs/pretrain"
    objective: Literal["fsfm", "video-mae", "selfie", "m3i"] = "fsfm"
    settings: dict[str, Any] = field(default_factory=dict)  # of the objective's class
    corpus_policy: CorpusPolicy = "any"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    # File or folder of an encoder to go on from, see docs/encoders.md; None: `network`.
    start: str | None = None
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    degraded: float = 0.0  # share of the clips that are degraded, to be reconstructed clean
    stage: StageConfig = field(default_factory=lambda: StageConfig(2000, 32, 64, rate=5e-4))
    seed: int = 0
    threads: int = 2
    device: str = "cpu"
    precision: str = "float32"  # of the forward passes, or bfloat16

    def __post_init__(self) -> None:
        if self.adapter.kind != "none" and self.start is None:
            raise ValueError("adapter: changes what has learned before; `start` must name it")


def build_encoder(config: PretrainConfig) -> VisionTransformer:
    """Return the encoder that is to learn: the recipe's own, or one of a file.

    Raises:
        ConfigError: the network cannot be built.
        InputError: the file holds no encoder.
    """
    if config.start is not None:
        return load_encoder(Path(config.start)).requires_grad_(True)
    try:
        return start_anew(VisionTransformer(config.network.encoder))
    except ValueError as error:
        raise ConfigError(f"network: {error}") from error


def build_objective(config: PretrainConfig, encoder: VisionTransformer) -> Objective:
    """Return the module that is trained.

    Raises:
        ConfigError: the objective refuses its settings.
    """
    try:
        return OBJECTIVES[config.objective](encoder, **config.settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"settings of {config.objective}: {error}") from error
