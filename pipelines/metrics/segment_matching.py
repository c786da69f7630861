"""Matching of proposed to true segments, and the average precision and recall that follow.

`pipelines.metrics.segments` says which protocol uses which rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from extractors.clip import Doubles, Flags

RECALL_IOUS = tuple(k / 20 for k in range(10, 20))  # 0.50, 0.55 … 0.95


@dataclass(frozen=True, eq=False)
class Proposals:
    """The proposals of one video, compared with its true segments."""

    scores: Doubles  # (P,)
    overlap: Doubles  # (P, G) IoU

    @property
    def segments(self) -> int:
        """G, the number of true segments."""
        return self.overlap.shape[1]


def overlaps(proposals: Doubles, segments: Doubles, hull: bool) -> Doubles:
    """Return the IoU (P, G) of (P, 2) and (G, 2), over the hull of both or over their union."""
    start, end = proposals[:, :1], proposals[:, 1:]  # (P, 1)
    low, high = segments.T  # (G,)
    shared = (np.minimum(end, high) - np.maximum(start, low)).clip(0)
    if not hull:
        return shared / ((end - start) + (high - low) - shared).clip(1e-8)
    span = np.maximum(end, high) - np.minimum(start, low)
    return np.divide(shared, span, out=np.zeros_like(shared), where=span != 0)


def first_come_precision(videos: Sequence[Proposals], iou: float) -> float:
    """Return AP where true segments choose their proposals; the first recall step is lost."""
    hits = [first_come_hits(video, iou) for video in videos]
    segments = sum(video.segments for video in videos)
    if not segments:
        return float("nan")
    order = np.argsort(-np.concatenate([v.scores for v in videos]), kind="stable")
    true_positives = np.cumsum(np.concatenate(hits)[order])
    recall = np.append(1.0, (true_positives / segments)[::-1])
    precision = np.append(0.0, (true_positives / np.arange(1, len(true_positives) + 1))[::-1])
    return float((np.abs(np.diff(recall)) * np.maximum.accumulate(precision)[:-1]).sum())


def first_come_hits(video: Proposals, iou: float) -> Flags:
    """Return (P,), whether each proposal is a hit: the first free one of a true segment."""
    possible = video.overlap > np.float32(iou)
    taken = np.zeros(len(video.scores), dtype=bool)
    for column in possible.T:
        free = np.flatnonzero(column & ~taken)
        taken[free[:1]] = True
    return taken


def best_match_precision(
    videos: Sequence[Proposals], ious: Sequence[float], merge_ties: bool
) -> dict[float, float]:
    """Return AP at each IoU; proposals choose, best score first; interpolated as in VOC 2011."""
    segments = sum(video.segments for video in videos)
    scores = np.concatenate([[], *(video.scores for video in videos)])
    if not segments or not len(scores):
        return dict.fromkeys(ious, 0.0 if segments else float("nan"))
    hits = np.concatenate([best_match_hits(video, ious) for video in videos], axis=1)
    order = np.argsort(scores, kind="stable")[::-1]
    last = np.arange(len(scores))  # where the curve has its points
    if merge_ties:
        last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    values = {}
    for iou, hit in zip(ious, hits, strict=True):  # one by one, for the memory of millions
        true_positives = np.cumsum(hit[order])[last]
        precision = np.maximum.accumulate((true_positives / (1 + last))[::-1])[::-1]
        values[iou] = float((np.diff(true_positives, prepend=0) * precision).sum() / segments)
    return values


def best_match_hits(video: Proposals, ious: Sequence[float]) -> Flags:
    """Return (I, P), whether each proposal matches a true segment that no better one has taken."""
    proposals, segments = video.overlap.shape
    hits = np.zeros((len(ious), proposals), dtype=bool)
    free = np.ones((len(ious), segments), dtype=bool)
    order = np.argsort(video.scores, kind="stable")[::-1]
    close = video.overlap.max(axis=1, initial=0) >= min(ious)
    least, each = np.asarray(ious), np.arange(len(ious))
    for proposal in order[close[order]]:
        overlap = np.where(free, video.overlap[proposal], -1)  # (I, G)
        best = segments - 1 - overlap[:, ::-1].argmax(axis=1)  # (I,)
        hit = overlap[each, best] >= least
        hits[hit, proposal] = True
        free[each[hit], best[hit]] = False
    return hits


def first_rows_recall(
    videos: Sequence[Proposals], count: int, strict: bool, skip_silent: bool = False
) -> float:
    """Return AR@count: the recall of the first rows of each video, pooled over all segments.

    Several segments may share a proposal. `skip_silent` leaves out videos without proposals.
    """
    return _mean_recall(
        found_segments(video.overlap[:count], strict)
        for video in videos
        if len(video.scores) or not skip_silent
    )


def shared_recall(videos: Sequence[Proposals], counts: Sequence[int]) -> dict[int, float]:
    """Return AR@N as ActivityNet defines it, by N; `shared_rows` selects the proposals."""
    return {
        count: _mean_recall(found_segments(overlap, strict=False) for overlap in kept)
        for count, kept in shared_rows(videos, counts).items()
    }


def shared_rows(videos: Sequence[Proposals], counts: Sequence[int]) -> dict[int, list[Doubles]]:
    """Return for each N the overlaps of the forged videos' proposals that count for AR@N.

    N is the mean number of proposals over videos; each video keeps the same share of its own.
    """
    total = sum(len(video.scores) for video in videos)
    forged = [video for video in videos if video.segments]
    most = max(100, *counts)
    ratio = most * len(forged) / max(total, 1)
    kept = []
    for video in forged:
        best = np.argsort(video.scores, kind="stable")[::-1]
        kept.append(video.overlap[best[: int(len(best) * ratio)]])
    scale = most * len(forged) / max(sum(len(overlap) for overlap in kept), 1)
    return {
        count: [overlap[: int(len(overlap) * (count / most * scale))] for overlap in kept]
        for count in counts
    }


def found_segments(overlap: Doubles, strict: bool) -> Flags:
    """Return (10, G), whether any proposal of `overlap` (P, G) recalls each segment, by IoU."""
    ious = np.array(RECALL_IOUS, dtype=overlap.dtype)[:, None]
    best = overlap.max(axis=0, initial=0)
    return best > ious if strict else best >= ious


def _mean_recall(recalled: Iterable[Flags]) -> float:
    """Return the recall over all segments, averaged over the IoUs."""
    joined = np.concatenate([np.empty((len(RECALL_IOUS), 0), dtype=bool), *recalled], axis=1)
    return float(joined.mean()) if joined.size else float("nan")
