"""Clip vectors and labels, on which heads are trained and measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from fusion.heads.closed import clip_vector
from pipelines.config import ConfigError, read_yaml
from pipelines.data.samples import Sample
from pipelines.detection.detector import Detector, load_detector
from pipelines.detection.starter import STARTER, experts_sha256
from pipelines.streams.stream_cache import StreamCache
from pipelines.taxonomy import type_labels
from pipelines.train.recipe import TrainConfig
from pipelines.train.stage import StageConfig
from pipelines.zoo.part_clips import PROBED, Listener, SaidClip, part_clips
from temporal.experts import EXPERTS, fold_norms
from temporal.segment import MODALITIES

OPENING = 75  # steps of a clip that heads read
PRECISION = torch.bfloat16  # of the experts; the same in training and inference of heads


def kind_of(path: Path) -> str | None:
    """Return the kind of the head or map that a YAML file describes; None: it is a part.

    Raises:
        ConfigError: the file cannot be read.
    """
    kind: str | None = read_yaml(path).get("kind")
    return kind


@dataclass(frozen=True)
class HeadConfig:
    """One head, named by its file."""

    title: str  # for the table
    kind: Literal["types", "families", "open", "laundering"]  # see docs/zoo.md
    # Patterns of methods by label, see docs/zoo.md; left out: the families of the taxonomy.
    labels: dict[str, tuple[str, ...]] = field(default_factory=type_labels)
    modality: Literal["visual", "audio", "any"] = "any"  # whose forgeries it classifies
    experts: tuple[str, ...] = tuple(EXPERTS)  # whose tokens and opinions it reads
    most: int = 60  # training clips of each source and method
    settings: dict[str, Any] = field(default_factory=dict)  # arguments of the head's class
    stage: StageConfig = field(default_factory=StageConfig)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.experts) - set(EXPERTS))
        if unknown or not self.experts:
            raise ValueError(f"experts: unknown {unknown}; known: {list(EXPERTS)}")
        if len(self.labels) < 2:
            raise ValueError(f"labels: expected two or more, got {list(self.labels)}")

    def labels_of(self, sample: Sample) -> set[str]:
        """Return the labels of a forged sample; empty if its method has none."""
        return {name for name, patterns in self.labels.items() if _fits(sample, patterns)}


def _fits(sample: Sample, patterns: tuple[str, ...]) -> bool:
    """Return whether a pattern matches the method or a forged modality, and no !pattern does."""
    forged = (f"@{modality}" for modality in MODALITIES if getattr(sample, modality))
    names = (sample.method, *forged)
    refused = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns) and not any(
        fnmatchcase(name, pattern) for name in names for pattern in refused
    )


@dataclass(frozen=True, eq=False)
class HeadClips:
    """Clips with their vectors and targets, to train or measure a head on."""

    clips: list[SaidClip]
    vectors: Tensor  # (N, W)
    targets: Tensor  # (N, C) 1 where a clip has a label; NaN: forged by a method without one
    methods: list[str]
    pictured: Tensor  # (N,) whether there is a face

    @property
    def labelled(self) -> Tensor:
        """Which clips (N,) are genuine or have a label."""
        return ~self.targets.isnan().any(dim=1)


def head_clips(
    config: HeadConfig, samples: Iterable[Sample], recipe: TrainConfig, out: Path
) -> HeadClips:
    """Return the vectors and labels of the samples that a head can judge.

    Forged clips whose first three seconds are genuine are left out.
    """
    listener = opening_listener(out / "opening")
    listened = part_clips(
        samples, config.modality, ("opinions",),
        StreamCache(Path(recipe.data.cache), recipe.streams),
        recipe.data.min_face, out / "native", lambda: listener,
    )  # fmt: skip
    kept, vectors, targets = [], [], []
    for clip in listened:
        if not isinstance(clip, SaidClip) or not judged(config, clip.said):
            continue
        fake = bool(getattr(clip.sample, config.modality))
        if fake and not (clip.targets() == 1).any():
            continue
        kept.append(clip)
        vectors.append(vector_of(config, clip.said))
        targets.append(_target(config, clip.sample, fake))
    if not kept:
        raise ConfigError(f"no clips with {config.experts} that are {config.modality}")
    methods = [clip.sample.method for clip in kept]
    pictured = torch.tensor([clip.face is not None for clip in kept])
    return HeadClips(kept, torch.stack(vectors), torch.stack(targets), methods, pictured)


def opening_listener(folder: Path) -> Listener:
    """Return the detector's experts, applied to the first three seconds of clips."""
    detector = opening_detector()
    return Listener(detector, experts_sha256(STARTER), folder, OPENING, PRECISION)


def opening_detector() -> Detector:
    """Return the detector whose experts heads read, ready for inference."""
    detector = load_detector(STARTER)
    fold_norms(detector.experts)
    return detector


def capped(samples: Iterable[Sample], most: int) -> list[Sample]:
    """Return the first `most` samples, by name, of each source and method."""
    counts: Counter[tuple[str, str]] = Counter()
    chosen = []
    for sample in sorted(samples, key=lambda sample: sample.path.name):
        counts[sample.source, sample.method] += 1
        if counts[sample.source, sample.method] <= most:
            chosen.append(sample)
    return chosen


def vector_of(config: HeadConfig, outputs: Mapping[str, Tensor]) -> Tensor:
    """Return the clip vector (W,) from the outputs of the experts that a head reads."""
    tokens = outputs["tokens"][:, [list(EXPERTS).index(name) for name in config.experts]]
    heard = [PROBED.index(name) for name in config.experts if name in PROBED]
    if {"lips", "voice"} <= set(config.experts):
        heard.append(PROBED.index("lag"))
    return clip_vector(tokens, outputs["opinions"][:, heard])


def judged(config: HeadConfig, outputs: Mapping[str, Tensor]) -> bool:
    """Return whether the experts have an opinion on the head's modality in any step."""
    first = {"visual": ("appearance",), "audio": ("mel",), "any": ("appearance", "mel")}
    places = [PROBED.index(name) for name in first[config.modality]]
    return not bool(outputs["opinions"][:, places].isnan().any(dim=0).all())


def _target(config: HeadConfig, sample: Sample, fake: bool) -> Tensor:
    """Return targets (C,) of a sample; NaN if it is forged by a method without a label."""
    labels = config.labels_of(sample) if fake else set()
    if fake and not labels:
        return torch.full((len(config.labels),), torch.nan)
    return torch.tensor([float(label in labels) for label in config.labels])
