"""The reference: clips that shall be judged as before, as a few numbers each.

Of the clips on which the weights were measured the file holds what the frozen parts say, no picture
and no sound: labels, logits, and each rule's features within a subspace of `SIZE` directions. These
are the directions in which the reference's own features vary most, scaled such that a change of the
rule of length d moves its logits on the reference by d / sqrt(SIZE) in the root mean square. So
what a change may cost elsewhere is its length, and forgetting can be measured exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from pipelines.adapt.clip_table import ClipTable, table_of
from pipelines.adapt.clip_tracks import COLUMNS, JudgedFile, JudgedTrack
from pipelines.data.samples import Sample
from pipelines.detection.starter import WEIGHTS
from pipelines.storage.weights import load_weights, save_weights

FORMAT = "avdetect reference 1"
SHIPPED = WEIGHTS / "reference.safetensors"
SIZE = 64
LEAST = 1e-6  # share of the largest variance with which a direction counts
FEWEST = 30  # tracks with features without which there is no subspace


@dataclass(frozen=True, eq=False)
class Subspace:
    """Directions in which a rule may change."""

    centre: Tensor  # (F,) mean of the standardised features
    directions: Tensor  # (F, K)

    def points(self, features: Tensor) -> Tensor:
        """Return the points (..., K) of standardised features (..., F)."""
        return (features.float() - self.centre.float()) @ self.directions.float()


@dataclass(frozen=True, eq=False)
class Reference:
    """The clips, and the subspaces of the rules of picture and sound."""

    table: ClipTable
    subspaces: Mapping[str, Subspace]  # by modality; one that is missing keeps its rule
    model: str  # SHA-256 of the weights that judged
    what: str  # which clips they are

    @property
    def size(self) -> int:
        """K, the directions of a subspace."""
        return self.table.points.shape[1]


def reference_of(
    samples: Sequence[Sample], files: Sequence[JudgedFile], model: str, what: str
) -> Reference:
    """Return the reference of clips, whose tracks have all features (F,) as their points."""
    subspaces = {}
    for column, modality in enumerate(COLUMNS):
        found = [
            t.point for f in files for t in f.tracks if t.column == column and t.point is not None
        ]
        if len(found) >= FEWEST:
            subspaces[modality] = _subspace(torch.stack(found).double())
    size = min((s.directions.shape[1] for s in subspaces.values()), default=0)
    subspaces = {
        m: Subspace(s.centre.half(), s.directions[:, :size].half()) for m, s in subspaces.items()
    }
    kept = [JudgedFile([_placed(t, subspaces) for t in f.tracks], f.known) for f in files]
    return Reference(table_of(samples, kept, size), subspaces, model, what)


def _placed(track: JudgedTrack, subspaces: Mapping[str, Subspace]) -> JudgedTrack:
    """Return a track with its point in the subspace in place of its features."""
    space = subspaces.get(COLUMNS[track.column])
    if track.point is None or space is None:
        return replace(track, point=None)
    return replace(track, point=space.points(track.point).half())


def _subspace(features: Tensor) -> Subspace:
    """Return the directions of largest variance of features (N, F), see the module's docstring."""
    centre = features.mean(dim=0)
    spread = features - centre
    values, vectors = torch.linalg.eigh(spread @ spread.T)  # ascending
    size = min(SIZE, int((values > LEAST * values[-1]).sum()))
    lengths = values[-size:].flip(0).clamp(min=1e-9).sqrt()  # (K,) of the singular values
    axes = spread.T @ vectors[:, -size:].flip(1) / lengths  # (F, K)
    return Subspace(centre, axes / (lengths / len(features) ** 0.5) / size**0.5)


def save_reference(path: Path, reference: Reference) -> None:
    """Write a reference, most of it in half precision.

    Raises:
        WeightsError: the file cannot be written.
    """
    table = reference.table
    state = {
        "labels": table.labels.to(torch.int8),
        "clip": table.clip.to(torch.int32),
        "column": table.column.to(torch.int8),
        "points": table.points.half(),
        **{n: getattr(table, n).float() for n in ("known", "summed", "alone", "gain", "seen")},
    }
    for modality, space in reference.subspaces.items():
        state |= {f"{modality}.centre": space.centre, f"{modality}.directions": space.directions}
    save_weights(path, state, FORMAT, {"model": reference.model, "what": reference.what})


def load_reference(path: Path) -> Reference:
    """Return the reference of a file.

    Raises:
        WeightsError: there is no such file, or it is no reference.
    """
    state, metadata = load_weights(path, FORMAT)
    names = ("labels", "points", "known", "summed", "alone", "gain", "seen")
    table = ClipTable(
        clip=state["clip"].long(),
        column=state["column"].long(),
        **{name: state[name].double() for name in names},
    )
    subspaces = {
        m: Subspace(state[f"{m}.centre"], state[f"{m}.directions"])
        for m in COLUMNS
        if f"{m}.centre" in state
    }
    return Reference(table, subspaces, metadata["model"], metadata["what"])
