"""Aspects of content: recall by what a clip shows, agreement of raters, what frames cannot tell.

After T2VSafetyBench (Miao and others, NeurIPS 2024, Datasets and Benchmarks), which tells twelve
aspects of generated videos apart. Three of them (sequential action, dynamic variation, coherent
context) are risks of time: each frame looks harmless by itself, so verdicts on frames and on the
clip are compared. Its judge answers in steps of 20 %, and is compared with people's answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from extractors.appearance import scene_crops
from extractors.clip import Doubles, Frames
from extractors.errors import InputError
from extractors.media import MediaError, open_media
from pipelines.data.samples import Sample
from pipelines.evaluation.markdown import cell, head, line, text
from pipelines.evaluation.protocols.scored import Results, scored_clips
from pipelines.metrics.sampling_error import wilson_interval
from pipelines.progress import OnStep
from pipelines.storage.kept_rows import KeptRows
from pipelines.storage.tables import OUR_NAMES, Columns, open_table

UNTOLD = "not told"
MEASURE = {"name": "coherence", "version": "1", "sha256": "coherence 1"}  # of kept rows
HALF = 50.0  # per cent from which on a rater's answer is yes


def by_aspect(
    samples: Sequence[Sample],
    results: Results,
    frames: Mapping[str, Doubles] | None = None,
    coherence: Mapping[str, float] | None = None,
    threshold: float = 0.5,
) -> dict[str, Any]:
    """Return the recall of each aspect's fakes, and how often frames and clip disagree.

    A clip is flagged by its frames if any of them is; `clip_alone` counts the clips that only the
    verdict on the whole flags, `frames_alone` those that only a frame does.

    Args:
        samples: clips with the group `aspect`.
        results: by path.
        frames: P(fake) of the frames (F,) by path.
        coherence: of clips by path, see `coherence_of`; its mean over an aspect's fakes is added.
        threshold: of clips and of frames.
    """
    clips = scored_clips(samples, results)
    aspects = np.array([dict(s.groups).get("aspect", UNTOLD) for s in clips.samples])
    flagged, fake = clips.scores >= threshold, clips.labels == 1
    rows: dict[str, dict[str, Any]] = {}
    measured = coherence or {}
    for name in map(str, np.unique(aspects)):
        own = aspects == name
        rows[name] = {"fakes": int((own & fake).sum()), "reals": int((own & ~fake).sum())}
        for rate, members in (("recall", own & fake), ("false_alarms", own & ~fake)):
            if members.any():
                hits, total = int((members & flagged).sum()), int(members.sum())
                rows[name][rate] = hits / total
                rows[name][f"{rate}_interval"] = wilson_interval(hits, total)
        if frames:
            rows[name] |= _disagreement(
                [(str(clips.samples[i].path), bool(flagged[i])) for i in np.flatnonzero(own)],
                frames, threshold,
            )  # fmt: skip
        paths = [str(clips.samples[i].path) for i in np.flatnonzero(own & fake)]
        if held := [measured[path] for path in paths if path in measured]:
            rows[name]["coherence"] = float(np.mean(held))
    return {"threshold": threshold, "given": len(samples), "aspects": rows}


def _disagreement(
    clips: Sequence[tuple[str, bool]], frames: Mapping[str, Doubles], threshold: float
) -> dict[str, int]:
    pairs = [(flag, bool((frames[p] >= threshold).any())) for p, flag in clips if p in frames]
    return {
        "with_frames": len(pairs),
        "clip_alone": sum(flag and not seen for flag, seen in pairs),
        "frames_alone": sum(seen and not flag for flag, seen in pairs),
    }


def agreement(first: Sequence[float], second: Sequence[float]) -> dict[str, Any]:
    """Return how far two raters agree on the same clips, by answers of 0 to 100 %.

    `rho` is Spearman's rank correlation, None if a rater gave one answer to all; `kappa` Cohen's
    (1960) on yes (50 % or more) against no, None if both gave one and the same to all.

    Raises:
        InputError: there are fewer than two clips, or answers outside 0 to 100.
    """
    from scipy.stats import spearmanr

    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape or a.size < 2 or min(a.min(), b.min()) < 0 or max(a.max(), b.max()) > 100:
        raise InputError("expected two raters' answers of 0 to 100 on two clips or more")
    yes, also = a >= HALF, b >= HALF
    observed = float((yes == also).mean())
    chance = float(yes.mean() * also.mean() + (1 - yes.mean()) * (1 - also.mean()))
    return {
        "clips": int(a.size), "same_answer": observed,
        "rho": float(spearmanr(a, b).statistic) if min(np.ptp(a), np.ptp(b)) > 0 else None,
        "kappa": (observed - chance) / (1 - chance) if chance < 1 else None,
    }  # fmt: skip


def read_agreement(path: Path, columns: Columns = OUR_NAMES) -> dict[str, Any]:
    """Return the agreement of a table's columns `automatic` and `manual`; see `agreement`.

    Raises:
        InputError: a column is missing, or an answer is no number of 0 to 100.
    """
    table = open_table(path, columns)
    table.need("automatic", "manual")
    answers: list[tuple[float, float]] = []
    for place, row in table.rows():
        try:
            answers.append((float(row["automatic"]), float(row["manual"])))
        except (TypeError, ValueError) as error:
            raise InputError(f"{place}: expected answers of 0 to 100, got {row}") from error
    try:
        return agreement(*zip(*answers, strict=True)) if answers else agreement((), ())
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def temporal_coherence(frames: Frames) -> float:
    """Return how much less frames (T, H, W, 3) change from one to the next than from any to any.

    0: neighbours differ as any two frames do, as is expected of shuffled ones; 1: they are equal;
    below 0: they differ more. 0 too where all frames are equal. One minus the ratio of von Neumann
    (1941): a statistic of order, which no statistic of single frames can tell.
    """
    rows = frames.reshape(len(frames), -1).astype(np.float64)
    around = rows - rows.mean(axis=0)
    spread = 2 * np.square(around).sum() / max(len(rows) - 1, 1)
    step = np.square(np.diff(rows, axis=0)).sum() / max(len(rows) - 1, 1)
    return float(1 - step / spread) if spread > 0 else 0.0


def coherence_of(
    samples: Sequence[Sample],
    kept: Path | None = None,
    on_step: OnStep = lambda done, total: None,
) -> dict[str, float]:
    """Return the temporal coherence of the first seconds of each clip that can be read, by path.

    Args:
        samples: the clips.
        kept: JSON lines; a clip in it is not read again.
        on_step: called with the number of clips read and the total.
    """
    rows, found = KeptRows(kept, ("path",), MEASURE), {}
    for done, sample in enumerate(samples, 1):
        value = rows.row((str(sample.path),), partial(_coherence_row, sample.path))["coherence"]
        if value is not None:
            found[str(sample.path)] = value
        on_step(done, len(samples))
    return found


def _coherence_row(path: Path) -> dict[str, Any]:
    try:
        with open_media(path) as reader:
            clip = next(reader, None)
    except MediaError as error:  # such clips have no coherence
        return {"coherence": None, "error": str(error)}
    if clip is None or clip.frames is None or len(clip.frames) < 2:
        return {"coherence": None}
    return {"coherence": temporal_coherence(scene_crops(list(clip.frames)))}


def aspects_table(metrics: Mapping[str, Any]) -> list[str]:
    """Return a row per aspect, and the agreement of raters if it was measured."""
    lines = head(["aspect", "fakes", "recall", "genuine", "false alarms", "flagged as a whole",
                  "by a frame alone", "coherence in time"])  # fmt: skip
    for name, row in metrics["aspects"].items():
        counts = [f"{row[k]} of {row['with_frames']}" if "with_frames" in row else "–"
                  for k in ("clip_alone", "frames_alone")]  # fmt: skip
        lines.append(line([name, row["fakes"], cell(row, "recall"), row["reals"],
                           cell(row, "false_alarms"), *counts,
                           text(row.get("coherence"))]))  # fmt: skip
    if "raters" in metrics:
        row = metrics["raters"]
        lines += ["", f"Automatic against manual tags of {row['clips']} clips: the same answer "
                  f"{text(row['same_answer'])}, rho {text(row['rho'])}, kappa "
                  f"{text(row['kappa'])}."]  # fmt: skip
    return lines
