"""Visual quality as a covariate: are forgeries missed because they look better than others?

The seven statistics of a picture's content and quality of VCT² (Imanpour and others, 2024). Its own
index takes the minimum, the mean and the range of the very pictures that it is computed on, so
that values of two sets cannot be compared, and divides by 1 - mean, which has either sign; it is
here for comparison. Ours is the mean z-score against genuine clips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from extractors.clip import Doubles, Frames
from extractors.errors import InputError
from extractors.media import MediaError, open_media
from pipelines.data.samples import Sample
from pipelines.evaluation.markdown import head, line, text
from pipelines.evaluation.protocols.scored import Results, scored_clips
from pipelines.metrics.classification import auc, bootstrap_interval
from pipelines.progress import OnStep
from pipelines.storage.kept_rows import KeptRows

STATISTICS = (
    "texture entropy", "colour concentration", "edges", "contour contrast", "smoothness",
    "sharpness", "contrast",
)  # fmt: skip
FRAMES = 8  # of a clip's first chunk, spread evenly
MEASURE = {"name": "visual quality", "version": "1", "sha256": "visual quality 1"}  # of kept rows
FEWEST = 3  # fakes of a tercile below which an AUC means nothing
TERCILES = ("lowest third", "middle third", "highest third")


def picture_statistics(picture: Frames) -> Doubles:
    """Return the seven statistics (7,) of a picture (H, W, 3) uint8, in the order of STATISTICS.

    Entropy in bits of the ten uniform binary patterns of 8 neighbours at distance 1, 3.32 at most;
    standard deviation of the normalised HSV histogram of 8 x 8 x 8; Canny edges
    (100, 200) per pixel, 0 to 255; variance of Sobel's gradient; 1 / (1 + variance of Laplace);
    largest deviation from the 5 x 5 Gaussian; standard deviation of the grey levels.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    level = grey.astype(np.float64)
    share = np.bincount(uniform_patterns(level).ravel(), minlength=10) / level.size
    entropy = -float((share[share > 0] * np.log2(share[share > 0])).sum())
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    colours = cv2.calcHist([hsv], [0, 1, 2], None, [8, 8, 8], [0, 180, 0, 256, 0, 256])
    gradient = np.hypot(cv2.Sobel(level, -1, 1, 0, ksize=3), cv2.Sobel(level, -1, 0, 1, ksize=3))
    return np.array([
        entropy,
        (colours / np.linalg.norm(colours)).std(),
        cv2.Canny(grey, 100, 200).sum() / level.size,
        gradient.var(),
        1 / (1 + cv2.Laplacian(level, -1).var()),
        np.abs(level - cv2.GaussianBlur(level, (5, 5), 0)).max(),
        level.std(),
    ])  # fmt: skip


def uniform_patterns(grey: Doubles) -> Any:
    """Return the rotation-invariant uniform binary pattern (H, W), 0 to 9, of a picture (H, W).

    The number of the 8 neighbours at distance 1 that are at least as bright, if they are so in one
    stretch of the circle; else 9. Source: Ojala and others, PAMI 2002.
    """
    angles = 2 * np.pi * np.arange(8) / 8
    padded = np.pad(grey, 1, mode="edge")
    height, width = grey.shape
    brighter = []
    for down, right in zip(-np.sin(angles).round(5), np.cos(angles).round(5), strict=True):
        value = np.zeros_like(grey)
        for y in (0, 1, 2):  # bilinear between the nine pixels around
            for x in (0, 1, 2):
                weight = max(0.0, 1 - abs(1 + down - y)) * max(0.0, 1 - abs(1 + right - x))
                value += weight * padded[y : y + height, x : x + width]
        brighter.append(value >= grey - 1e-9)  # weights add up to 1 but for rounding
    circle = np.stack(brighter)
    changes = (circle != np.roll(circle, 1, axis=0)).sum(axis=0)
    return np.where(changes <= 2, circle.sum(axis=0), 9)


def legacy_index(statistics: Doubles) -> Doubles:
    """Return the published index (N,), 0 to 100, of pictures by their statistics (N, 7).

    It depends on all pictures of the set: do not compare it between sets.
    """
    low, mean = statistics.min(axis=0), statistics.mean(axis=0)
    summed = 100 * ((statistics - low) / (1 - mean)).sum(axis=1)
    return np.asarray(100 * (summed - summed.min()) / max(float(np.ptp(summed)), 1e-12))


def quality_index(statistics: Doubles, reference: Doubles) -> Doubles:
    """Return the mean z-score (N,) of statistics (N, 7) against those of genuine clips (M, 7)."""
    spread = reference.std(axis=0)
    scores = (statistics - reference.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.asarray(scores.mean(axis=1))


def clip_statistics(path: Path) -> Doubles:
    """Return the mean statistics (7,) of some frames of a clip.

    Raises:
        MediaError: the file cannot be read, or has no picture.
    """
    with open_media(path) as reader:
        clip = next(reader, None)
    if clip is None or clip.frames is None or not len(clip.frames):
        raise MediaError(f"{path}: has no picture")
    chosen = np.unique(np.linspace(0, len(clip.frames) - 1, FRAMES).round().astype(int))
    return np.mean([picture_statistics(clip.frames[i]) for i in chosen], axis=0)


def by_visual_quality(
    samples: Sequence[Sample],
    results: Results,
    kept: Path | None = None,
    on_step: OnStep = lambda done, total: None,
) -> dict[str, Any]:
    """Return the AUC of each third of the fakes by visual quality, against all genuine clips.

    Args:
        samples: clips, of which the genuine ones are the reference of quality.
        results: by path.
        kept: JSON lines; a clip in it is not read again.
        on_step: called with the number of clips read and the total.

    Raises:
        InputError: fewer than two genuine clips, or three fakes, that can be read and were scored.
    """
    rows = KeptRows(kept, ("path",), MEASURE)
    clips = scored_clips(samples, results)
    found: list[Doubles | None] = []
    for done, sample in enumerate(clips.samples, 1):
        values = rows.row((str(sample.path),), partial(_row, sample.path))["statistics"]
        found.append(None if values is None else np.array(values))
        on_step(done, len(clips.samples))
    read = [i for i, values in enumerate(found) if values is not None]
    labels, scores = clips.labels[read], clips.scores[read]
    fakes = labels == 1
    if fakes.sum() < FEWEST or (~fakes).sum() < 2:
        raise InputError("needs three fakes or more and two genuine clips or more, read and scored")
    table = np.array([found[i] for i in read])
    index = quality_index(table, table[~fakes])
    legacy = legacy_index(table)
    return {
        "given": len(samples), "read": len(read), "reference": int((~fakes).sum()),
        "rank_correlation": _spearman(index[fakes], scores[fakes]),
        "rank_correlation_legacy": _spearman(legacy[fakes], scores[fakes]),
        "terciles": _terciles(index[fakes], scores[fakes], scores[~fakes]),
        "fakes": dict(zip(STATISTICS, table[fakes].mean(axis=0).tolist(), strict=True)),
        "genuine": dict(zip(STATISTICS, table[~fakes].mean(axis=0).tolist(), strict=True)),
    }  # fmt: skip


def _row(path: Path) -> dict[str, Any]:
    try:
        return {"statistics": clip_statistics(path).tolist()}
    except MediaError as error:  # counted: fewer clips are read than given
        return {"statistics": None, "error": str(error)}


def _spearman(first: Doubles, second: Doubles) -> float | None:
    from scipy.stats import spearmanr

    if min(np.ptp(first), np.ptp(second)) == 0:
        return None
    return float(spearmanr(first, second).statistic)


def _terciles(index: Doubles, fakes: Doubles, reals: Doubles) -> dict[str, dict[str, Any]]:
    thirds = np.array_split(np.argsort(index, kind="stable"), 3)
    rows: dict[str, dict[str, Any]] = {}
    for name, members in zip(TERCILES, thirds, strict=True):
        rows[name] = {"fakes": len(members), "index": float(index[members].mean())}
        if len(members) >= FEWEST:
            pair = (
                np.repeat([0.0, 1.0], [len(reals), len(members)]),
                np.append(reals, fakes[members]),
            )
            rows[name] |= {"auc": auc(*pair), "auc_interval": bootstrap_interval(auc, *pair)}
    return rows


def quality_table(metrics: Mapping[str, Any]) -> list[str]:
    """Return a row per third of the fakes, and a row per statistic."""
    lines = head(["fakes by visual quality", "fakes", "mean z-score", "AUC"])
    for name, row in metrics["terciles"].items():
        low, high = row.get("auc_interval", (None, None))
        area = f"{row['auc']:.3f} ({low:.3f}–{high:.3f})" if "auc" in row else "–"
        lines.append(line([name, row["fakes"], text(row["index"]), area]))
    told = text(metrics["rank_correlation"])
    lines += ["", f"Rank correlation of a fake's quality with its score: {told}.", ""]
    lines += head(["mean of", "fakes", "genuine"])
    for name in STATISTICS:
        lines.append(line([name, text(metrics["fakes"][name]), text(metrics["genuine"][name])]))
    return lines
