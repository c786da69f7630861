"""A table of judged clips, and the scores that a change of the weights gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.adapt.clip_tracks import COLUMNS, JudgedFile
from pipelines.data.manifest import Spans
from pipelines.data.samples import Sample
from pipelines.detection.opinions import ABSENT
from pipelines.detection.pooling import any_logit
from pipelines.train.losses import UNKNOWN

FILE = len(COLUMNS)  # the column of the whole file, behind those of picture and sound


@dataclass(frozen=True, eq=False)
class ClipTable:
    """C clips with their N judged tracks, see `JudgedTrack`; all float64 but where said."""

    labels: Tensor  # (C, 3): 1 fake, 0 genuine, -1 unknown; picture, sound, file
    known: Tensor  # (C,) 0 to 1: how much of the faces could be judged
    clip: Tensor  # (N,) int64, the clip of each track
    column: Tensor  # (N,) int64, of `COLUMNS`
    summed: Tensor  # (N,)
    alone: Tensor  # (N,)
    gain: Tensor  # (N,)
    seen: Tensor  # (N,)
    points: Tensor  # (N, K)

    def __post_init__(self) -> None:
        count, clips = len(self.clip), len(self.labels)
        shapes = {"known": (clips,), "labels": (clips, FILE + 1)}
        shapes |= dict.fromkeys(("column", "summed", "alone", "gain", "seen"), (count,))
        for name, shape in shapes.items():
            if tuple(getattr(self, name).shape) != shape:
                raise ValueError(f"{name}: expected {shape}, got {getattr(self, name).shape}")

    @property
    def judged(self) -> Tensor:
        """Which of picture and sound of each clip have a track (C, 2), bool."""
        found = torch.zeros(len(self.labels), len(COLUMNS), dtype=torch.bool)
        found[self.clip, self.column] = True
        return found

    def rows(self, clips: Tensor) -> ClipTable:
        """Return the table of some clips, by their indices (M,)."""
        place = torch.full((len(self.labels),), -1).scatter(0, clips, torch.arange(len(clips)))
        chosen = place[self.clip] >= 0
        own = {
            n: getattr(self, n)[chosen]
            for n in ("column", "summed", "alone", "gain", "seen", "points")
        }
        return ClipTable(self.labels[clips], self.known[clips], place[self.clip][chosen], **own)


@dataclass(frozen=True, eq=False)
class WeightChange:
    """A change of the weights: of the rules, within a subspace, and of the calibration's shifts."""

    rules: Tensor  # (2, K) of picture and sound
    shifts: Tensor  # (2,)

    @staticmethod
    def none(size: int) -> WeightChange:
        """Return the change that leaves the weights as they are."""
        return WeightChange(
            torch.zeros(2, size, dtype=torch.double), torch.zeros(2, dtype=torch.double)
        )


@dataclass(frozen=True)
class Calibration:
    """What makes scores of clip logits."""

    scale: tuple[float, float]  # of picture and sound
    shift: tuple[float, float]
    two_tracks: float  # see `DetectorConfig`


def table_of(samples: Sequence[Sample], files: Sequence[JudgedFile], size: int = 0) -> ClipTable:
    """Return the table of clips; tracks without a point of `size` numbers have one of zeros."""
    tracks = [(i, track) for i, file in enumerate(files) for track in file.tracks]
    points = torch.zeros(len(tracks), size, dtype=torch.double)
    for row, (_, track) in enumerate(tracks):
        if track.point is not None and size:
            points[row] = track.point.double()
    columns = {
        name: torch.tensor([float(getattr(t, name)) for _, t in tracks], dtype=torch.double)
        for name in ("summed", "alone", "gain", "seen")
    }
    return ClipTable(
        labels=torch.tensor([_labels(s) for s in samples]).reshape(-1, FILE + 1).double(),
        known=torch.tensor([f.known for f in files], dtype=torch.double),
        clip=torch.tensor([i for i, _ in tracks], dtype=torch.long),
        column=torch.tensor([t.column for _, t in tracks], dtype=torch.long),
        points=points,
        **columns,
    )


def own_logits(table: ClipTable, change: WeightChange, calibration: Calibration) -> Tensor:
    """Return the calibrated logits (C, 2) of picture and sound; `ABSENT` where there is no track.

    Those that `Detector.calibrated` makes scores of, after the change.
    """
    moved = table.gain * (table.points * change.rules[table.column]).sum(dim=1)
    joined = any_logit(torch.stack([table.summed + moved, table.alone], dim=1))
    scale, shift = (
        torch.tensor(x, dtype=torch.double)[table.column]
        for x in (calibration.scale, calibration.shift)
    )
    values = table.seen * (scale * joined + shift + change.shifts[table.column])
    places = table.clip * len(COLUMNS) + table.column
    empty = torch.full((len(table.labels) * len(COLUMNS),), ABSENT, dtype=torch.double)
    return empty.scatter_reduce(0, places, values, "amax").reshape(-1, len(COLUMNS))


def file_logits(own: Tensor, judged: Tensor, calibration: Calibration) -> Tensor:
    """Return the logits (C,) of the score, of own logits (C, 2); see `Detector.calibrated`."""
    lowered = torch.where(judged[:, :1], own + calibration.two_tracks, own)
    return any_logit(torch.where(judged, lowered, ABSENT))


def all_logits(table: ClipTable, change: WeightChange, calibration: Calibration) -> Tensor:
    """Return the logits (C, 3) of picture, sound and file."""
    own = own_logits(table, change, calibration)
    whole = file_logits(own, table.judged, calibration)
    return torch.cat([own, whole[:, None]], dim=1)


def _labels(sample: Sample) -> list[float]:
    """Return the labels of picture, sound and file."""
    tracks: list[Spans | None] = [sample.visual, sample.audio]
    return [*(UNKNOWN if t is None else float(bool(t)) for t in tracks), float(sample.fake)]
