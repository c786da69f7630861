"""The most suspicious moments of a file, kept during its detection, and their heat maps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from extractors.media import STEP_RATE
from extractors.streams import Streams
from pipelines.detection.detector import Detector
from pipelines.detection.timelines import Timeline, step_probabilities
from pipelines.evidence.gradcam import expert_maps
from temporal.segment import MODALITIES

KEPT = {"visual": 4, "audio": 2}  # moments of each modality that are kept
REACH = 32  # steps to either side that are kept as the experts' input
ASKED = 6  # steps to either side whose logits are explained: half a second in all
SHOWN = (-6, -3, 0, 3, 6)  # steps from the middle whose pictures the report shows
APART = 25  # steps between two moments of one face


@dataclass(frozen=True, eq=False)
class Moment:
    """A suspicious half second, and the streams around it."""

    modality: str  # visual or audio
    track: int | None  # the face, None for sound
    step: int  # of the file, its middle
    score: float  # mean step probability of the half second
    first: int  # step of the file at which the streams begin
    streams: dict[str, Tensor]  # (L, ...)

    @property
    def time(self) -> float:
        """Its middle in seconds."""
        return (self.step + 0.5) / STEP_RATE

    @property
    def span(self) -> tuple[float, float]:
        """Start and end in seconds."""
        return max(self.step - ASKED, 0) / STEP_RATE, (self.step + ASKED + 1) / STEP_RATE

    @property
    def shown(self) -> list[int]:
        """Indices in its streams of the steps whose pictures are shown."""
        last = len(next(iter(self.streams.values()))) - 1
        return [min(max(self.step - self.first + offset, 0), last) for offset in SHOWN]


class Moments:
    """The most suspicious moments so far; memory does not grow with the file's length."""

    def __init__(self, min_face: float, min_steps: int) -> None:
        self._min_face, self._min_steps = min_face, min_steps
        self._kept: dict[str, list[Moment]] = {modality: [] for modality in KEPT}

    def block(self, block: Streams, said: Timeline, detector: Detector) -> None:
        """Add the most suspicious moments of a block, if the verdict takes it into account."""
        if said.heard:
            modality = "audio"
        elif said.track is not None and (said.face_size or 0) >= self._min_face:
            modality = "visual"
        else:
            return
        if len(said.opinions) < self._min_steps:
            return
        level = _level(step_probabilities(said, detector)[:, MODALITIES.index(modality)])
        for _ in range(KEPT[modality]):
            best = int(level.argmax())
            score = float(level[best])
            kept = self._kept[modality]
            if score < 0 or (len(kept) == KEPT[modality] and score <= kept[-1].score):
                return
            level[max(best - APART, 0) : best + APART + 1] = -1.0
            kept.append(_cut(block, said, modality, best, score))
            self._kept[modality] = sorted(kept, key=lambda m: -m.score)[: KEPT[modality]]

    def found(self) -> list[Moment]:
        """Return the moments, the most suspicious of each modality first."""
        return [moment for kept in self._kept.values() for moment in kept]


def _level(probabilities: Tensor) -> Tensor:
    """Return the mean (T,) of the half second around each step."""
    kernel = 2 * ASKED + 1
    padded = probabilities[None, None]
    return functional.avg_pool1d(padded, kernel, 1, ASKED, count_include_pad=False)[0, 0].clone()


def _cut(block: Streams, said: Timeline, modality: str, at: int, score: float) -> Moment:
    """Return the moment at a step of the timeline, with copies of its streams."""
    middle = at + block.lead  # in the block
    start, stop = max(middle - REACH, 0), min(middle + REACH + 1, block.steps)
    streams = {name: stream[start:stop].clone() for name, stream in block.given().items()}
    return Moment(modality, said.track, said.start + at, score, block.start + start, streams)


def moment_maps(
    detector: Detector, moment: Moment, precision: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Return the heat maps of a moment's streams, see `expert_maps`."""
    middle = moment.step - moment.first
    steps = slice(max(middle - ASKED, 0), middle + ASKED + 1)
    return expert_maps(detector, moment.streams, moment.modality, steps, precision)


def share_off_face(evidence: Iterable[tuple[Moment, dict[str, Tensor]]]) -> dict[str, float]:
    """Return for each picture expert the share of its heat map that lies off the face.

    `area` is the share of the crops that lies there, which a uniform heat map would have. The face
    is where the face mesh has a depth, with a margin of two pixels.
    """
    total: dict[str, list[Tensor]] = {}
    for moment, maps in evidence:
        if moment.track is None or "depth" not in moment.streams:
            continue
        mesh = (moment.streams["depth"] != 0).float()  # (L, 1, 56, 56)
        off = 1 - functional.max_pool2d(mesh, 5, 1, 2)[:, 0]
        for name in ("appearance", "flow", "depth"):
            if name in maps:
                scaled = functional.interpolate(
                    maps[name][:, None], off.shape[1:], mode="bilinear", align_corners=False
                )[:, 0]
                total.setdefault(name, []).append(torch.stack([(scaled * off).sum(), scaled.sum()]))
        total.setdefault("area", []).append(torch.stack([off.sum(), torch.ones_like(off).sum()]))
    sums = {name: torch.stack(parts).sum(dim=0) for name, parts in total.items()}
    return {name: round(float(a / b), 4) for name, (a, b) in sums.items() if b > 0}
