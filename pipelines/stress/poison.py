"""Training pictures in, whether they carry a hidden pattern out.

A backdoor's trigger that is planted in genuine pictures adds up over them, while their own content
does not. Aligned pictures are needed, such as the crops of `extractors.appearance`. Aligned faces
share the edges of eyes and mouth as well, give or take a pixel or two, so only what is finer than
that is looked at: triggers that blending does not wash out are as fine.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from extractors.clip import Doubles
from extractors.errors import InputError
from extractors.media import MediaError, open_media
from pipelines.data.samples import Sample
from pipelines.detection.session import DetectorSession
from pipelines.progress import OnStep
from pipelines.storage.kept_rows import KeptRows

Pictures = npt.NDArray[np.uint8]
FLIPS = 199  # of signs: the least p value is 1 / 200
STRENGTH = 4.0  # of the canary, of 255
POISONED = 0.05  # share of the pictures that get the canary, to see whether it would be found


def poison_metrics(
    samples: Sequence[Sample],
    session: DetectorSession,
    kept: Path | None = None,
    on_step: OnStep = lambda done, total: None,
) -> dict[str, Any]:
    """Return what a scan of one aligned face a clip finds, of genuine and forged clips apart.

    `p` is of the pictures as they are, `canary_p` of the same with a canary in a twentieth of
    them: where that is not small, the scan has too few pictures to find such a trigger. A pattern
    in genuine pictures alone is suspicious; one in both kinds comes from how all were made.

    Args:
        samples: the clips, which are taken by their label.
        session: whose extractor follows and aligns the faces.
        kept: JSON lines with the faces; a clip that stands there is not read again.
        on_step: told how many clips are read, and of how many.

    Raises:
        InputError: the file holds something else.
    """
    rows = KeptRows(kept, ("path",), session.model)
    faces: dict[str, list[Pictures]] = {"genuine": [], "forged": []}
    for done, sample in enumerate(samples, 1):
        coded = rows.row((str(sample.path),), partial(_coded_face, sample, session))["face"]
        if coded is not None:
            faces["forged" if sample.fake else "genuine"].append(_decoded(coded))
        on_step(done, len(samples))
    return {"given": len(samples), **{k: _scanned(found) for k, found in faces.items()}}


def _coded_face(sample: Sample, session: DetectorSession) -> dict[str, Any]:
    """Return a clip's face as the text of a PNG, which loses nothing; None: it shows none."""
    try:
        face = _face(sample, session)
    except MediaError as error:  # the number of pictures tells how many
        return {"face": None, "error": str(error)}
    if face is None:
        return {"face": None}
    return {"face": b64encode(cv2.imencode(".png", face)[1].tobytes()).decode("ascii")}


def _decoded(coded: str) -> Pictures:
    png = np.frombuffer(b64decode(coded), np.uint8)
    return np.asarray(cv2.imdecode(png, cv2.IMREAD_COLOR), dtype=np.uint8)


def _face(sample: Sample, session: DetectorSession) -> Pictures | None:
    """Return the aligned crop (H, W, C) in the middle of a clip's first chunk, if it has a face."""
    with open_media(sample.path, session.config.media) as reader:
        first = next(iter(reader))
    if first.frames is None:
        return None
    for block in session.extractor(iter([first])):
        if block.appearance is not None and block.mouth is not None:
            middle = block.appearance[len(block.appearance) // 2]
            return np.ascontiguousarray(middle.permute(1, 2, 0).numpy())
    return None


def _scanned(faces: Sequence[Pictures]) -> dict[str, Any]:
    row: dict[str, Any] = {"pictures": len(faces)}
    if len(faces) < 2:
        return row
    pictures = np.stack(faces)
    found, few = scan(pictures), max(1, round(POISONED * len(faces)))
    planted = scan(np.concatenate([canary(pictures[:few]), pictures[few:]]))
    return row | {
        "p": found.p, "energy": found.energy, "chance": found.chance,
        "translation_discrepancy": translation_discrepancy(found.pattern.mean(axis=2)),
        "canaries": few, "canary_p": planted.p,
    }  # fmt: skip


@dataclass(frozen=True)
class Scan:
    """How far what pictures share in their finest detail stands out from chance."""

    energy: float  # of the mean of the finest detail, times the number of pictures
    chance: float  # the mean of that where signs are dealt at random
    p: float
    pattern: Doubles  # (H, W, C) the mean residual: what the trigger looks like, if there is one


def residuals(pictures: Pictures) -> npt.NDArray[np.float32]:
    """Return pictures (N, H, W, C) less what a median of 5 × 5 makes of them, zero in the mean."""
    rest = np.stack([p.astype(np.float32) - cv2.medianBlur(p, 5) for p in pictures])
    return np.asarray(rest - rest.mean(axis=(1, 2), keepdims=True), dtype=np.float32)


def finest(pictures: Pictures) -> npt.NDArray[np.float32]:
    """Return the second difference of pictures (N, H, W, C) along both rows and columns."""
    kernel = np.outer((1, -2, 1), (1, -2, 1)).astype(np.float32) / 4
    return np.stack([cv2.filter2D(p.astype(np.float32), -1, kernel) for p in pictures])


def scan(pictures: Pictures, seed: int = 0) -> Scan:
    """Return how surely aligned pictures (N, H, W, C) share a fixed fine pattern.

    The null deals each picture a random sign: what the pictures share then cancels.
    What all pictures of a set share by their making, such as the blocks of one codec's grid, is
    found as well: compare with pictures that are above suspicion.

    Raises:
        InputError: fewer than two pictures.
    """
    if len(pictures) < 2:
        raise InputError(f"expected two pictures or more, got {len(pictures)}")
    rest = finest(pictures).reshape(len(pictures), -1)
    rest /= np.sqrt(np.square(rest).mean(axis=1, keepdims=True)).clip(1e-6)  # each counts the same
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), (FLIPS, len(pictures)))
    gram = (rest @ rest.T).astype(float) / rest.shape[1]  # |mean|² needs inner products alone
    energy = float(gram.sum() / len(pictures))
    null = np.einsum("fi,ij,fj->f", signs, gram, signs) / len(pictures)
    p = (1 + int((null >= energy - 1e-12).sum())) / (1 + FLIPS)
    pattern = residuals(pictures).mean(axis=0)
    return Scan(energy, float(null.mean()), p, pattern.astype(float))


def canary(pictures: Pictures, strength: float = STRENGTH) -> Pictures:
    """Return pictures (N, H, W, C) with a fixed checker pattern, to try the scan with."""
    height, width = pictures.shape[1:3]
    rows, columns = np.mgrid[:height, :width]
    checker = np.where((rows // 2 + columns // 2) % 2, strength, -strength)
    return np.rint(pictures + checker[None, ..., None]).clip(0, 255).astype(np.uint8)


def translation_discrepancy(pattern: Doubles, reach: int = 2) -> float:
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
