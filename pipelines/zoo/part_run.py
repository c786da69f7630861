"""One part of the zoo on single files: its score, its curve and its segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from extractors.media import STEP_RATE, MediaError
from extractors.native import SIDE
from extractors.stream_extractor import StreamExtractor
from pipelines.config import load_config
from pipelines.data.samples import unlabelled
from pipelines.detection.detector import Detector
from pipelines.detection.judge_config import JudgeConfig
from pipelines.train.clips import TrainClip, main_face_of_opening
from pipelines.train.experts import suspicion
from pipelines.zoo.head_clips import opening_detector
from pipelines.zoo.native_clips import CROPS, NATIVE, NativeClip
from pipelines.zoo.part_clips import SAID, SaidClip, expert_outputs, opening_streams
from pipelines.zoo.parts import PartConfig, load_part
from pipelines.zoo.step_table import Proposer, proposal_rows, segment_rows


@runtime_checkable
class Describer(Protocol):
    """A part that can say more of a clip than its logits."""

    def describe(self, streams: Mapping[str, Tensor]) -> Mapping[str, float | str | None]:
        """Return named measurements of one clip, streams (1, L, ...)."""


@dataclass(frozen=True, eq=False)
class PartResult:
    """What a part says of a file."""

    score: float  # 0 real to 1 fake
    seconds: list[float]  # at which each step or frame begins
    logits: list[float]  # of each, above 0: more likely forged
    segments: list[list[float]]  # score, start and end; none of parts that read single frames
    facts: dict[str, float | str | None]  # further measurements of the part's own

    def to_dict(self, path: str) -> dict[str, Any]:
        """Return the result of a file as plain values, ready for JSON."""
        curve = [
            {"start": round(at, 2), "logit": round(logit, 4)}
            for at, logit in zip(self.seconds, self.logits, strict=True)
        ]
        segments = [
            {"score": round(score, 4), "start": round(start, 2), "end": round(end, 2)}
            for score, start, end in self.segments
        ]
        return {
            "path": path, "status": "ok", "error": None, "score": round(self.score, 4),
            "segments": segments, "curve": curve, "facts": self.facts,
        }  # fmt: skip


class PartRunner:
    """A part with its weights, loaded once for many files.

    It judges what the board measures: the main face and the sound of the first six seconds, or, if
    it reads single pixels, eight frames spread over the file.
    """

    def __init__(self, path: Path, weights: Path, overrides: Sequence[str] = ()) -> None:
        """Load a part.

        Args:
            path: its YAML file.
            weights: folder of the parts' weights.
            overrides: settings of the part that differ, `key=value`.

        Raises:
            ConfigError: the part cannot be built.
            WeightsError: its weights are missing or another part's.
        """
        self.config = load_config(PartConfig, path, overrides)
        self.part = load_part(path, self.config, weights / f"{path.stem}.safetensors")
        self.extractor = StreamExtractor()

    @cached_property
    def experts(self) -> Detector:
        """The starter's experts, for parts that read their outputs."""
        return opening_detector()

    @torch.inference_mode()
    def judge(self, path: Path) -> PartResult:
        """Return what the part says of a file.

        Raises:
            MediaError: the file cannot be decoded, or lacks what the part reads.
        """
        clip = self.clip_of(path)
        streams = opening_streams(clip, self.config.streams)
        logits = self.part(streams)[0].float()
        facts = dict(self.part.describe(streams)) if isinstance(self.part, Describer) else {}
        if isinstance(clip, NativeClip):
            steps, segments = clip.places, []
        else:
            steps = torch.arange(clip.start, clip.start + len(logits))
            begin = clip.start / STEP_RATE
            if isinstance(self.part, Proposer):
                segments = proposal_rows(self.part.proposals(streams), begin)
            else:
                segments = segment_rows(logits, begin)
        seconds = (steps.double() / STEP_RATE).tolist()
        return PartResult(clip_probability(logits), seconds, logits.tolist(), segments, facts)

    def clip_of(self, path: Path) -> TrainClip:
        """Return the file's clip with all that the part reads.

        Raises:
            MediaError: see `judge`.
        """
        stream = self.config.streams[0]
        if stream in CROPS:
            found = CROPS[stream](path)
            if found is None:
                what = "picture" if stream == NATIVE else "caption or logo in a picture"
                raise MediaError(f"{path}: has no {what} of at least {SIDE} pixels a side")
            crops, places = found
            return NativeClip(
                unlabelled(path), None, None, crops=crops, places=places, stream=stream
            )
        clip = main_face_of_opening(path, self.extractor, JudgeConfig().min_face)
        if clip is None:
            raise MediaError(f"{path}: has neither a usable face nor sound")
        if not set(self.config.streams).isdisjoint(SAID):
            said = expert_outputs(self.experts, clip)
            clip = SaidClip(clip.sample, clip.face, clip.waveform, said=said)
        missing = sorted(set(self.config.streams) - clip.names)
        if missing:
            raise MediaError(f"{path}: gives no {' and no '.join(missing)}, which this part reads")
        return clip


def clip_probability(logits: Tensor) -> float:
    """Return the score of a clip, 0 to 1, by the suspicion of its step logits (T,)."""
    return float(torch.tensor(suspicion(logits)).double().sigmoid())
