"""The kind of a forgery by the shipped heads, and the tag that a page takes from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from extractors.media import MediaError, file_sha256
from extractors.stream_extractor import StreamExtractor
from fusion.heads.closed import FamilyHead, LaunderingHead, TypeHead
from pipelines.config import ConfigError
from pipelines.data.samples import unlabelled
from pipelines.detection.detector import Detector
from pipelines.detection.judge_config import JudgeConfig
from pipelines.detection.result import Result
from pipelines.detection.starter import STARTER
from pipelines.evidence.tags import tag_of
from pipelines.streams.stream_cache import Extract
from pipelines.train.clips import main_face_of_opening, train_clip
from pipelines.zoo.head_clips import (
    OPENING,
    PRECISION,
    HeadConfig,
    judged,
    opening_detector,
    vector_of,
)
from pipelines.zoo.heads import load_head
from pipelines.zoo.part_clips import expert_outputs
from pipelines.zoo.parts import SHIPPED

ORIGINS = ("real", "laundered", "synthetic")
HeadKind = TypeVar("HeadKind", TypeHead, FamilyHead, LaunderingHead)


@dataclass(frozen=True)
class Kind:
    """The kind of a clip's forgery, if it is one."""

    types: list[str]  # types of forgery above their thresholds, the highest margin first
    origin: str | None  # of the picture: real, laundered or synthetic; None: there is no picture


class KindHeads:
    """The shipped heads of the types of forgery and of laundering."""

    def __init__(self) -> None:
        self.types, self.types_config = shipped_head("types", TypeHead)
        self.laundering, self.laundering_config = shipped_head("laundering", LaunderingHead)

    @torch.inference_mode()
    def __call__(self, said: Mapping[str, Tensor]) -> Kind:
        """Return the kind of a clip by the experts' outputs on its opening."""
        origin = None
        if judged(self.laundering_config, said):
            vector = vector_of(self.laundering_config, said)[None]
            origin = ORIGINS[int(self.laundering.classes(vector)[0])]
        above = self.types(vector_of(self.types_config, said)[None])[0] - self.types.thresholds
        labels = list(self.types_config.labels)
        types = [labels[i] for i in above.argsort(descending=True).tolist() if above[i] >= 0]
        return Kind(types, origin)


class Tagger:
    """The tags of forged files, loaded once for many; see `pipelines.evidence.tags`."""

    def __init__(self) -> None:
        self.heads = KindHeads()
        self.detector = opening_detector()
        self.sha256 = file_sha256(STARTER)

    def __call__(self, opening: Extract, result: Result) -> str | None:
        """Return the tag of a file, None where the result is not of a fake by the starter."""
        if result["verdict"] != "fake" or result["model"]["sha256"] != self.sha256:
            return None
        clip = train_clip(unlabelled(Path(result["path"])), opening, JudgeConfig().min_face)
        if clip is None:
            return None
        kind = self.heads(expert_outputs(self.detector, clip, OPENING, PRECISION))
        return tag_of(kind.types, kind.origin)


def opening_said(path: Path, detector: Detector, extractor: StreamExtractor) -> dict[str, Tensor]:
    """Return the experts' outputs for a file's first three seconds.

    Raises:
        MediaError: the file cannot be decoded, or there is neither a face nor sound.
    """
    clip = main_face_of_opening(path, extractor, JudgeConfig().min_face)
    if clip is None:
        raise MediaError(f"{path}: has neither a usable face nor sound")
    return expert_outputs(detector, clip, OPENING, PRECISION)


def shipped_head(name: str, kind: type[HeadKind]) -> tuple[HeadKind, HeadConfig]:
    """Return a head of the package."""
    head, config = load_head(SHIPPED / f"{name}.safetensors")
    if not isinstance(head, kind):
        raise ConfigError(f"{SHIPPED / name}.safetensors: expected a {kind.__name__}")
    return head, config
