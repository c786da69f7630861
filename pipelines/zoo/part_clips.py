"""Clips with the outputs of the detector's experts, which parts and heads read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from extractors.media import MediaError, file_sha256
from extractors.spectrogram import loudness, speech_steps
from pipelines.data.samples import Sample
from pipelines.detection.detector import Detector
from pipelines.storage.files import write_by
from pipelines.streams.stream_cache import StreamCache
from pipelines.train.clips import LONGEST, TrainClip, train_clip
from pipelines.zoo.native_clips import CROPS, native_clip
from temporal.experts import EXPERTS

# The order of the step logits in `opinions`: weights of parts and heads depend on it.
PROBED = ("appearance", "flow", "depth", "mel", "lag")
SAID = ("opinions", "tokens", "lag")  # experts' outputs that a part may read besides the streams


@dataclass(eq=False, kw_only=True)
class SaidClip(TrainClip):
    """A clip with the experts' outputs on its first steps; NaN where they have no input."""

    said: dict[str, Tensor]

    @property
    def steps(self) -> int:
        """T, the steps that the experts' outputs cover."""
        return len(self.said["opinions"])

    @property
    def names(self) -> set[str]:
        """The names of the clip's streams and of the experts' outputs."""
        return super().names | set(self.said)

    def chunk(
        self,
        first: int,
        last: int,
        names: Sequence[str],
        rng: np.random.Generator | None,
        pictures: dict[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Return the named streams as any clip does, and the experts' outputs unchanged."""
        outputs = {name: self.said[name][first:last] for name in names if name in self.said}
        return super().chunk(first, last, names, rng, pictures) | outputs


class Listener:
    """The detector's experts, run once on each clip; their outputs are cached in files."""

    def __init__(
        self,
        detector: Detector,
        sha256: str,
        folder: Path,
        steps: int = LONGEST,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.detector, self.sha256, self.folder = detector, sha256, folder
        self.steps, self.precision = steps, precision  # not in the key: one setting per folder
        folder.mkdir(parents=True, exist_ok=True)

    def ask(self, clip: TrainClip) -> SaidClip:
        """Return the clip with the experts' outputs."""
        key = f"{file_sha256(clip.sample.path)}{self.sha256}{clip.start}"
        file = self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.said"
        if not file.exists():
            made = expert_outputs(self.detector, clip, self.steps, self.precision)
            write_by(file, partial(save_file, {name: t.half() for name, t in made.items()}))
        outputs = {name: tensor.float() for name, tensor in load_file(file).items()}
        return SaidClip(clip.sample, clip.face, clip.waveform, said=outputs)


@torch.inference_mode()
def expert_outputs(
    detector: Detector,
    clip: TrainClip,
    longest: int = LONGEST,
    precision: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    """Return the experts' outputs on a clip's first steps, NaN where they have no input.

    `opinions` (T, 5): step logits in the order of `PROBED`; `tokens` (T, 6, D) in that of
    `EXPERTS`; `lag` (T, 2 * reach + 1): similarity of lips and voice at each lag.
    """
    steps = min(clip.steps, longest)
    streams = clip.chunk(0, steps, sorted(clip.names), None)
    mask = torch.ones(1, steps, dtype=torch.bool)
    batch = {name: stream[None] for name, stream in streams.items()}
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        tokens = {name: t.float() for name, t in detector.tokens(batch, mask).items()}
    logits = {name: detector.network(name)(tokens[name], mask) for name in PROBED if name in tokens}
    if "lag" in logits:
        spoken = speech_steps(loudness(streams["mel"]))
        logits["lag"] = logits["lag"].masked_fill(~spoken, torch.nan)
    dim, lags = detector.config.experts.dim, 2 * detector.config.fusion.reach + 1
    nothing = torch.full((1, steps), torch.nan)
    absent = nothing[..., None].expand(-1, -1, dim)
    return {
        "opinions": torch.stack([logits.get(name, nothing) for name in PROBED], dim=-1)[0],
        "tokens": torch.stack([tokens.get(name, absent) for name in EXPERTS], dim=-2)[0],
        "lag": tokens.get("lag", nothing[..., None].expand(-1, -1, lags))[0],
    }


def opening_streams(clip: TrainClip, names: Sequence[str]) -> dict[str, Tensor]:
    """Return the named streams (1, L, ...) of a clip's first six seconds."""
    chunk = clip.chunk(0, min(clip.steps, LONGEST), names, None)
    return {name: stream[None] for name, stream in chunk.items()}


def part_clips(
    samples: Iterable[Sample],
    modality: str,
    streams: Sequence[str],
    cache: StreamCache,
    min_face: float,
    folder: Path,
    listener: Callable[[], Listener],
) -> list[TrainClip]:
    """Return the clips of the samples that have all the streams and a label of the modality.

    Args:
        samples: files and their labels.
        modality: whose label must be known: visual, audio, sync or any.
        streams: names of streams and experts' outputs, or one of `CROPS` alone.
        cache: of streams.
        min_face: pixels; smaller faces are ignored.
        folder: cache of crops at native resolution.
        listener: makes the experts, called if their outputs are read.
    """
    clips = []
    for sample in samples:
        if getattr(sample, modality) is None:
            continue
        try:
            clip = train_clip(sample, cache.get(sample.path), min_face)
            if clip is not None and streams[0] in CROPS:
                clip = native_clip(clip, folder, streams[0])
        except MediaError:
            continue
        if clip is not None and not set(streams).isdisjoint(SAID):
            clip = listener().ask(clip)
        if clip is not None and set(streams) <= clip.names:
            clips.append(clip)
    return clips
