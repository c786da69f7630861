"""Training pictures in, whether they carry a hidden pattern out.

A backdoor's trigger that is planted in genuine pictures adds up over them, while their own content
does not. Aligned pictures are needed, such as the crops of `extractors.appearance`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.metrics import Array, auc

Pictures = npt.NDArray[np.uint8]
FLIPS = 199  # of signs: the least p value is 1 / 200


@dataclass(frozen=True)
class Scan:
    """How far the mean residual of pictures stands out from chance."""

    energy: float  # of the mean residual, times the number of pictures
    chance: float  # the mean of that where signs are dealt at random
    p: float
    pattern: Array  # (H, W, C) the mean residual: what the trigger looks like, if there is one


def residuals(pictures: Pictures) -> npt.NDArray[np.float32]:
    """Return pictures (N, H, W, C) less what a median of 5 × 5 makes of them, zero in the mean."""
    rest = np.stack([p.astype(np.float32) - cv2.medianBlur(p, 5) for p in pictures])
    return np.asarray(rest - rest.mean(axis=(1, 2), keepdims=True), dtype=np.float32)


def scan(pictures: Pictures, seed: int = 0) -> Scan:
    """Return how surely aligned pictures (N, H, W, C) share a fixed fine pattern.

    The null deals each picture's residual a random sign: what the pictures share then cancels.
    What all pictures of a set share by their making, such as the blocks of one codec's grid, is
    found as well: compare with pictures that are above suspicion.

    Raises:
        ValueError: fewer than two pictures.
    """
    if len(pictures) < 2:
        raise ValueError(f"expected two pictures or more, got {len(pictures)}")
    rest = residuals(pictures).reshape(len(pictures), -1)
    rest /= np.sqrt(np.square(rest).mean(axis=1, keepdims=True)).clip(1e-6)  # each counts the same
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), (FLIPS, len(pictures)))
    gram = (rest @ rest.T).astype(float) / rest.shape[1]  # |mean|² needs inner products alone
    energy = float(gram.sum() / len(pictures))
    null = np.einsum("fi,ij,fj->f", signs, gram, signs) / len(pictures)
    p = (1 + int((null >= energy - 1e-12).sum())) / (1 + FLIPS)
    pattern = residuals(pictures).mean(axis=0)
    return Scan(energy, float(null.mean()), p, pattern.astype(float))


def canary(pictures: Pictures, strength: float = 4.0) -> Pictures:
    """Return pictures (N, H, W, C) with a fixed checker pattern, to try the scan with."""
    height, width = pictures.shape[1:3]
    rows, columns = np.mgrid[:height, :width]
    checker = np.where((rows // 2 + columns // 2) % 2, strength, -strength)
    return np.rint(pictures + checker[None, ..., None]).clip(0, 255).astype(np.uint8)


def translation_discrepancy(pattern: Array, reach: int = 2) -> float:
    """Return how much a pattern (H, W) differs from its neighbours up to `reach` pixels away.

    The mean of |K * pattern| with K ones and its centre 1 - (2 reach + 1)², over the number of
    neighbours times the pattern's mean size and two: 1 would be the opposite everywhere around.
    Edges wrap around. Triggers that blending does not wash out have a high value.
    """
    size = (2 * reach + 1) ** 2
    shifts = range(-reach, reach + 1)
    around = sum(np.roll(pattern, (i, j), axis=(0, 1)) for i in shifts for j in shifts)
    response = np.abs(around - size * pattern).mean()
    scale = 2 * size * np.abs(pattern).mean()
    return float(2 * response / scale) if scale else 0.0


def backdoor_auc(real: Array, fakes_with_trigger: Array) -> float:
    """Return BD-AUC: how well fakes that carry the trigger pass for real; 1/2 or less is harmless.

    The AUC of telling the two apart by low scores: 1 where every triggered fake scores below
    every genuine clip.
    """
    labels = np.repeat([0.0, 1.0], [len(real), len(fakes_with_trigger)])
    return auc(labels, -np.append(real, fakes_with_trigger))
