"""Training of the picture's localizer on the tokens of forged and genuine faces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from extractors.clock import STEP_RATE
from pipelines.data.manifest import WHOLE
from pipelines.detection.detector import Detector
from pipelines.forge.segments import Segments
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run
from pipelines.train.localizer import (
    LocalizerBatch,
    calibrate_localizer,
    fit_localizer,
    localizer_batch,
)
from pipelines.train.stage import StageConfig
from pipelines.train.token_clips import token_clips

PICTURE = "localizer of picture"
SHORTEST = 40  # steps of a stretch that is drawn
SHARE = 0.7  # of the drawn clips that are forged in part
AT_ONCE = 32  # held-out clips


@dataclass(frozen=True, eq=False)
class FaceTokens:
    """A face as the tokens of experts, in one or more augmented versions, and its truth."""

    versions: tuple[tuple[Tensor, ...], ...]  # of each version, each expert's (T, D) float16
    forged: Segments  # seconds from the face's first step on

    def stretch(self, length: int, rng: np.random.Generator) -> tuple[tuple[Tensor, ...], Segments]:
        """Return tokens of a random version and stretch, at most `length` steps, and its truth."""
        tokens = self.versions[int(rng.integers(len(self.versions)))]
        steps = len(tokens[0])
        count = min(steps, int(rng.integers(SHORTEST, length + 1)))
        first = int(rng.integers(0, steps - count + 1))
        moved = [(a - first / STEP_RATE, b - first / STEP_RATE) for a, b in self.forged]
        inside = [(max(a, 0.0), min(b, count / STEP_RATE)) for a, b in moved]
        cut = tuple(x[first : first + count].float() for x in tokens)
        return cut, [(a, b) for a, b in inside if b - a > 0.04]


def train_picture_localizer(
    detector: Detector, clips: dict[str, list[TrainClip]], config: StageConfig, run: Run
) -> None:
    """Train the picture's localizer on faces, most of which are forged in part."""
    localization = detector.config.localization
    train = face_tokens(detector, clips["train"], run, versions=1)
    val = [c for c in face_tokens(detector, clips["val"], run, versions=0) if c.forged]
    kinds = [c for c in train if c.forged], [c for c in train if not c.forged]
    run.log(stage=PICTURE, forged=len(kinds[0]), genuine=len(kinds[1]), val=len(val))

    def batches(first: int, last: int) -> Iterator[LocalizerBatch]:
        for update in range(first, last):
            rng = np.random.default_rng((run.seed, update, run.team.rank))
            drawn = [kinds[int(rng.random() > SHARE)] for _ in range(config.batch)]
            pieces = [k[int(rng.integers(len(k)))].stretch(config.length, rng) for k in drawn]
            yield localizer_batch([p[0] for p in pieces], [p[1] for p in pieces], localization)

    held_out = [
        localizer_batch(
            [tuple(x.float() for x in clip.versions[0]) for clip in val[i : i + AT_ONCE]],
            [clip.forged for clip in val[i : i + AT_ONCE]],
            localization,
        )
        for i in range(0, len(val), AT_ONCE)
    ]
    fit_localizer(PICTURE, detector.network(PICTURE), batches, held_out, config, run)
    calibrate_localizer(PICTURE, detector, held_out, run)


def face_tokens(
    detector: Detector, clips: Sequence[TrainClip], run: Run, versions: int
) -> list[FaceTokens]:
    """Return the faces of clips whose picture is genuine, or forged in part, as tokens."""
    names = next(o.reads for o in detector.opinions if o.name == PICTURE)
    partial = [
        clip
        for clip in clips
        if clip.face is not None
        and clip.steps >= SHORTEST
        and clip.sample.visual is not None
        and clip.sample.visual != WHOLE
    ]
    made: defaultdict[int, list[tuple[Tensor, ...]]] = defaultdict(list)
    by_clip = {id(clip): clip for clip in partial}
    for found in token_clips(detector, partial, run, versions):
        made[id(found.clip)].append(tuple(found.tokens[name] for name in names))
    return [
        FaceTokens(tuple(versions_of), forged_seconds(by_clip[key]))
        for key, versions_of in made.items()
    ]


def forged_seconds(clip: TrainClip) -> Segments:
    """Return the forged seconds of a clip's picture, from the first step of its face on."""
    first = clip.start / STEP_RATE
    spans = [(a - first, b - first) for a, b in clip.sample.visual or ()]
    return [(max(a, 0.0), b) for a, b in spans if b > 0]
