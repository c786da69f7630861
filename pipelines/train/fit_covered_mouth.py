"""The regression that notices a covered mouth, fitted on covers drawn over genuine faces.

    python -m pipelines.train.fit_covered_mouth MANIFEST.csv --splits configs/splits.yaml

draws a mask, a microphone, a hand and an object over the mouths of genuine clips of training, and
writes `extractors/covered_mouth.json`. Marks are taken as they are when a clip is judged: by the
landmarks that the face mesh finds in the covered picture.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from extractors.clip import Array, Flags, Frames, MediaError
from extractors.covered_mouth import WEIGHTS, mouth_marks
from extractors.crops import crop_square, crop_squares
from extractors.faces import FaceConfig, FaceTrack, track_faces
from extractors.media import read_clip
from pipelines.data.samples import read_manifest, read_splits
from pipelines.forge.picture.covers import COVERS, covered

SIDE = 112  # pixels of the face crop
STRENGTH = 0.02  # C of the regression, as scikit-learn has it: there are few clips
PLAIN = 4.0  # weight of an uncovered clip: there is one to four covered ones
STEPS = 75  # of a clip that are covered


@dataclass(frozen=True, eq=False)
class Marks:
    """The marks of one face (T, 87), and at which steps its mouth is covered (T,)."""

    values: Array
    covered: Flags
    weight: float


def marks_of(frames: Frames, hidden: Flags, weight: float) -> Marks | None:
    """Return the marks of the largest face of a clip's frames, None where none is found."""
    face = largest_face(frames)
    if face is None:
        return None
    config = FaceConfig()
    around = np.pad(face.landmarks, ((config.radius,) * 2, (0, 0), (0, 0)), mode="edge")
    squares = crop_squares(around, config)
    own = slice(face.start, face.start + len(face.landmarks))
    crops = np.stack([
        crop_square(frame, square, (SIDE, SIDE))
        for frame, square in zip(frames[own], squares, strict=True)
    ])  # fmt: skip
    return Marks(mouth_marks(crops, squares, face.landmarks), hidden[own], weight)


def largest_face(frames: Frames) -> FaceTrack | None:
    """Return the face of a clip that takes most of its pixels and steps; None: there is none."""
    tracks = track_faces(frames)
    return max(tracks, key=lambda t: np.ptp(t.landmarks[..., 0], axis=1).sum(), default=None)


def drawn_marks(frames: Frames, rng: np.random.Generator) -> Iterator[Marks]:
    """Yield the marks of a genuine clip as it is, and with each cover over a part of it."""
    plain, face = marks_of(frames, np.zeros(len(frames), bool), PLAIN), largest_face(frames)
    if plain is None or face is None:
        return
    yield plain
    landmarks, shown = face.landmarks[:STEPS], frames[face.start :][:STEPS]
    for kind in COVERS:
        steps = len(landmarks)
        span = range(steps) if rng.random() < 0.4 else range(steps // 3, steps - steps // 4)
        hidden = np.isin(np.arange(len(shown)), span)
        marks = marks_of(covered(shown, landmarks, kind, rng, span), hidden, 1.0)
        if marks is not None:
            yield marks


def fitted(rows: Sequence[Marks]) -> dict[str, Any]:
    """Return mean (87,), weights (87,) and bias of a logistic regression on the marks."""
    from sklearn.linear_model import LogisticRegression

    values = np.concatenate([row.values for row in rows])
    hidden = np.concatenate([row.covered for row in rows])
    weights = np.concatenate([np.full(len(r.values), r.weight / len(r.values)) for r in rows])
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-3
    model = LogisticRegression(C=STRENGTH, max_iter=500)
    model.fit(
        (values - mean) / spread, hidden, sample_weight=weights * len(weights) / weights.sum()
    )
    return {
        "mean": [round(float(v), 4) for v in mean],
        "weights": [round(float(v), 6) for v in model.coef_[0] / spread],
        "bias": round(float(model.intercept_[0]), 4),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw covers over the clips of a manifest and write the regression."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=60, help="genuine clips, of any source")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args(arguments)
    samples = read_manifest(options.manifest, read_splits(options.splits))
    rng, rows, taken = np.random.default_rng(0), [], 0
    for index in rng.permutation(len(samples)):
        sample = samples[index]
        if sample.fake or sample.split != "train" or taken >= options.clips:
            continue
        try:
            frames = read_clip(sample.path).frames
        except MediaError:  # the next one will do
            continue
        if frames is not None and (found := list(drawn_marks(frames, rng))):
            rows += found
            taken += 1
    options.out.write_text(json.dumps(fitted(rows)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
