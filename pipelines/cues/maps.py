"""Experts and known artefacts in, how much of their evidence lies inside the artefact out.

Where an artefact is, is known exactly: its mask, and where no pixel is touched the places at which
a stream differs from that of the same clip unforged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from extractors.appearance import face_crops
from extractors.clip import Array
from extractors.crops import crop_squares
from pipelines.cues.drawn_clips import FACES, Drawing, KnownClip, draw, genuine, streams_of
from pipelines.cues.drawn_forgeries import ARTEFACTS
from pipelines.cues.isolation import READS
from pipelines.detection.detector import Detector
from pipelines.evidence.gradcam import maps_of
from pipelines.evidence.moments import Moment, share_off_face

STEPS = 48  # of a clip, so that an artefact may fill a small part of it
MOST = 0.2  # of a clip that an artefact may fill: three times as much must be possible


@dataclass(frozen=True)
class Inside:
    """How the evidence of an expert lies to an artefact, in shares from 0 to 1."""

    mass: float  # of the evidence, inside the artefact
    share: float  # of the clip, that the artefact fills
    off_face: float | None  # of the evidence, off the face; None: not of a picture
    off_area: float | None  # of the crops, off the face


def evidence_inside(
    detector: Detector, module: nn.Module, expert: str, clip: KnownClip, unforged: KnownClip
) -> Inside:
    """Return where the evidence of an expert for its mean logit over a clip lies.

    Args:
        detector: that holds the expert.
        module: streams (1, T, ...) in, the expert's step logits (1, T) out.
        expert: a picture's, or `mel`.
        clip: forged.
        unforged: the same without the artefact.
    """
    streams = streams_of(clip)
    given = {name: streams[name][None] for name in READS[expert]}
    heat = maps_of(detector, lambda: module(given).mean())[expert]
    tube = artefact_tube(expert, clip, streams, streams_of(unforged))
    spread = functional.interpolate(
        heat[:, None], tube.shape[1:], mode="bilinear", align_corners=False
    )[:, 0]
    mass = float((spread * tube).sum() / spread.sum().clamp(min=1e-12))
    off = share_off_face([(Moment("visual", 0, 0, 1.0, 0, streams), {expert: heat})])
    area = off.get("area") if expert in off else None
    return Inside(mass, float(tube.mean()), off.get(expert), area)


def artefact_tube(
    expert: str, clip: KnownClip, forged: dict[str, Tensor], unforged: dict[str, Tensor]
) -> Tensor:
    """Return 1 inside an artefact and 0 outside: (T, h, w), of sound (1, bands, columns)."""
    if clip.mask.any():
        frames = list(np.repeat(clip.mask[..., None], 3, axis=-1).astype(np.uint8) * 255)
        crops = face_crops(frames, crop_squares(clip.landmarks, FACES))
        return torch.from_numpy(crops[..., 0] > 127).float()
    stream = READS[expert][0]
    changed = forged[stream] != unforged[stream]
    if stream == "mel":
        return changed.permute(1, 0, 2).flatten(1)[None].float()
    return changed.any(dim=1).float()


def forged_clips(
    artefact: str, mesh: Array, count: int, seed: int
) -> Iterator[tuple[KnownClip, KnownClip]]:
    """Yield clips with an artefact that fills no more than MOST of their steps, and unforged.

    artefact: one of an interval; `lag` and `full` are of whole clips.
    """
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        drawing = draw(rng, mesh, STEPS)
        yield _short(artefact, drawing, rng), genuine(drawing)


def _short(artefact: str, drawing: Drawing, rng: np.random.Generator) -> KnownClip:
    while True:
        clip = ARTEFACTS[artefact](drawing, rng)
        start, stop = clip.interval
        if stop - start <= MOST * drawing.steps:
            return clip
