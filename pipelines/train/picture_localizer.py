"""Training of the picture's localizer on the tokens of forged and genuine faces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pipelines.forge.segments import Segments
from pipelines.train.fit import Run
from pipelines.train.localizer import LocalizerBatch, fit_localizer, localizer_batch
from pipelines.train.stage import StageConfig
from temporal.localization import LocalizationConfig
from temporal.localizer import PictureLocalizer

STAGE = "localizer of picture"
SHORTEST = 40  # steps of a stretch that is drawn
SHARE = 0.7  # of the drawn clips that are forged in part
AT_ONCE = 32  # held-out clips


@dataclass(frozen=True, eq=False)
class FaceTokens:
    """A face as the tokens of experts, in one or more augmented versions, and its truth."""

    versions: tuple[tuple[Tensor, ...], ...]  # of each version, each expert's (T, D) float16
    forged: Segments  # seconds from the face's first step on

    def stretch(
        self, length: int, rng: np.random.Generator
    ) -> tuple[tuple[Tensor, ...], Segments]:
        """Return tokens of a random version and stretch, at most `length` steps, and its truth."""
        tokens = self.versions[int(rng.integers(len(self.versions)))]
        steps = len(tokens[0])
        count = min(steps, int(rng.integers(SHORTEST, length + 1)))
        first = int(rng.integers(0, steps - count + 1))
        moved = [(a - first / 25, b - first / 25) for a, b in self.forged]
        inside = [(max(a, 0.0), min(b, count / 25)) for a, b in moved]
        cut = tuple(x[first : first + count].float() for x in tokens)
        return cut, [(a, b) for a, b in inside if b - a > 0.04]


def train_picture_localizer(
    localizer: PictureLocalizer,
    train: Sequence[FaceTokens],
    val: Sequence[FaceTokens],
    localization: LocalizationConfig,
    config: StageConfig,
    run: Run,
) -> None:
    """Train the picture's localizer on faces, most of which are forged in part."""
    kinds = [c for c in train if c.forged], [c for c in train if not c.forged]
    run.log(stage=STAGE, forged=len(kinds[0]), genuine=len(kinds[1]), val=len(val))

    def batches(first: int, last: int) -> Iterator[LocalizerBatch]:
        for update in range(first, last):
            rng = np.random.default_rng((run.seed, update))
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
    fit_localizer(STAGE, localizer, batches, held_out, config, run)
