"""Detection of a hidden pattern shared by training pictures, such as a backdoor's trigger.

A trigger planted in genuine pictures adds up over them, while their own content does not. The
pictures must be aligned, such as the crops of `extractors.appearance`. Aligned faces share the
edges of eyes and mouth as well, give or take a pixel or two, so only finer detail is tested:
triggers that survive blending are as fine.
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
FLIPS = 199  # random sign flips: the least p-value is 1 / 200
STRENGTH = 4.0  # of the canary, of 255
POISONED = 0.05  # share of the pictures that get the canary, to test the power of the scan


def poison_metrics(
    samples: Sequence[Sample],
    session: DetectorSession,
    kept: Path | None = None,
    on_step: OnStep = lambda done, total: None,
) -> dict[str, Any]:
    """Return the scan of one aligned face per clip, for genuine and forged clips separately.

    `p` is of the unchanged pictures, `canary_p` of the same with a canary in a twentieth of them:
    if that is not small, there are too few pictures to detect such a trigger. A pattern in genuine
    pictures alone is suspicious; one in both classes comes from their common making.

    Args:
        samples: the clips, grouped by label.
        session: whose extractor tracks and aligns the faces.
        kept: JSON lines with the faces; a clip in it is not read again.
        on_step: called with the number of clips read and the total.

    Raises:
        InputError: the file holds something else.
    """
    rows = KeptRows(kept, ("path",), session.model)
    faces: dict[str, list[Pictures]] = {"genuine": [], "forged": []}
    for done, sample in enumerate(samples, 1):
        coded = rows.row((str(sample.path),), partial(coded_face, sample, session))["face"]
        if coded is not None:
            faces["forged" if sample.fake else "genuine"].append(decoded_face(coded))
        on_step(done, len(samples))
    return {"given": len(samples), **{k: _scanned(pictures) for k, pictures in faces.items()}}


def coded_face(sample: Sample, session: DetectorSession) -> dict[str, Any]:
    """Return a clip's face as a base64 PNG (lossless), or None if it shows no face."""
    try:
        face = _face(sample, session)
    except MediaError as error:  # counted: there are fewer pictures than clips
        return {"face": None, "error": str(error)}
    if face is None:
        return {"face": None}
    return {"face": b64encode(cv2.imencode(".png", face)[1].tobytes()).decode("ascii")}


def decoded_face(coded: str) -> Pictures:
    """Return the face (H, W, C) of a row of `coded_face`."""
    png = np.frombuffer(b64decode(coded), np.uint8)
    return np.asarray(cv2.imdecode(png, cv2.IMREAD_COLOR), dtype=np.uint8)


def _face(sample: Sample, session: DetectorSession) -> Pictures | None:
    """Return the middle aligned crop (H, W, C) of a clip's first face; None without a face."""
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
    clean, few = scan(pictures), max(1, round(POISONED * len(faces)))
    planted = scan(np.concatenate([canary(pictures[:few]), pictures[few:]]))
    return row | {
        "p": clean.p, "energy": clean.energy, "chance": clean.chance,
        "translation_discrepancy": translation_discrepancy(clean.pattern.mean(axis=2)),
        "canaries": few, "canary_p": planted.p,
    }  # fmt: skip


@dataclass(frozen=True)
class Scan:
    """The test of pictures for a shared fine pattern, against chance."""

    energy: float  # of the mean of the finest detail, times the number of pictures
    chance: float  # the mean energy under random signs
    p: float
    pattern: Doubles  # (H, W, C) the mean residual: the picture of the trigger, if there is one


def residuals(pictures: Pictures) -> npt.NDArray[np.float32]:
    """Return pictures (N, H, W, C) minus their 5 × 5 median, with zero mean per channel."""
    rest = np.stack([p.astype(np.float32) - cv2.medianBlur(p, 5) for p in pictures])
    return np.asarray(rest - rest.mean(axis=(1, 2), keepdims=True), dtype=np.float32)


def finest(pictures: Pictures) -> npt.NDArray[np.float32]:
    """Return the second differences of pictures (N, H, W, C) along rows and columns."""
    kernel = np.outer((1, -2, 1), (1, -2, 1)).astype(np.float32) / 4
    return np.stack([cv2.filter2D(p.astype(np.float32), -1, kernel) for p in pictures])


def scan(pictures: Pictures, seed: int = 0) -> Scan:
    """Return the test of aligned pictures (N, H, W, C) for a shared fixed fine pattern.

    The null distribution gives each picture a random sign, so that a shared pattern cancels. A
    pattern that all pictures of a set share by their making, such as a codec's block grid, is
    detected as well: compare with pictures from a trusted source.

    Raises:
        InputError: fewer than two pictures.
    """
    if len(pictures) < 2:
        raise InputError(f"expected two pictures or more, got {len(pictures)}")
    rest = finest(pictures).reshape(len(pictures), -1)
    rest /= np.sqrt(np.square(rest).mean(axis=1, keepdims=True)).clip(1e-6)  # of equal weight
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), (FLIPS, len(pictures)))
    gram = (rest @ rest.T).astype(float) / rest.shape[1]  # |mean|² needs inner products alone
    energy = float(gram.sum() / len(pictures))
    null = np.einsum("fi,ij,fj->f", signs, gram, signs) / len(pictures)
    p = (1 + int((null >= energy - 1e-12).sum())) / (1 + FLIPS)
    pattern = residuals(pictures).mean(axis=0)
    return Scan(energy, float(null.mean()), p, pattern.astype(float))


def canary(pictures: Pictures, strength: float = STRENGTH) -> Pictures:
    """Return pictures (N, H, W, C) with a fixed checkerboard, to test the scan with."""
    height, width = pictures.shape[1:3]
    rows, columns = np.mgrid[:height, :width]
    checker = np.where((rows // 2 + columns // 2) % 2, strength, -strength)
    return np.rint(pictures + checker[None, ..., None]).clip(0, 255).astype(np.uint8)


def translation_discrepancy(pattern: Doubles, reach: int = 2) -> float:
    """Return how much a pattern (H, W) differs from itself shifted by up to `reach` pixels.

    The mean of |K * pattern|, where the kernel K is 1 but for its centre 1 - (2 reach + 1)²,
    normalised by the kernel's size and the pattern's mean magnitude. Edges wrap around. Triggers
    that survive blending have a high value.
    """
    size = (2 * reach + 1) ** 2
    shifts = range(-reach, reach + 1)
    around = sum(np.roll(pattern, (i, j), axis=(0, 1)) for i in shifts for j in shifts)
    response = np.abs(around - size * pattern).mean()
    scale = 2 * size * np.abs(pattern).mean()
    return float(2 * response / scale) if scale else 0.0
