"""Candidate spans of one modality: runs of high step scores, their ranking, and soft-NMS."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from extractors.clip import Doubles


def find_runs(curve: Doubles, thresholds: Iterable[float], gap: int) -> Doubles:
    """Return starts and ends (R, 2) in steps of the runs where curve (T,) exceeds a threshold.

    The curve is first smoothed by a median over five steps, so that single steps neither make nor
    break a run; gaps of up to `gap` steps are closed. A run starts and ends where the linear
    interpolation between two steps crosses the threshold, since a step that a segment covers in
    part scores in between.
    """
    padded = np.pad(curve, 2, mode="edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    runs = [np.empty((0, 2))]
    for threshold in thresholds:
        edges = np.diff(np.concatenate([[0], smooth >= threshold, [0]]))
        starts, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
        closed = np.flatnonzero(starts[1:] - ends[:-1] <= gap)
        starts, ends = np.delete(starts, closed + 1), np.delete(ends, closed)
        crossings = [_crossings(smooth, steps, threshold) for steps in (starts, ends)]
        runs.append(np.stack(crossings, axis=1))
    return np.unique(np.concatenate(runs), axis=0)


def _crossings(curve: Doubles, edges: NDArray[np.int64], threshold: float) -> Doubles:
    """Return where the curve crosses the threshold at each edge; the curve's ends stay put."""
    inner = edges.clip(1, max(1, len(curve) - 1))
    before, after = curve[inner - 1], curve[inner % len(curve)]
    moved = (threshold - before) / np.where(before == after, 1, after - before) - 0.5
    return edges + np.where((edges == 0) | (edges == len(curve)), 0, moved)


def score_spans(spans: Doubles, proposed: Doubles, curve: Doubles, contrast: float) -> Doubles:
    """Return the scores (C,) of spans (C, 2) in steps by the step scores `curve` (T,).

    A score is the geometric mean of the proposal score (C,) and the mean step score inside; for a
    run, whose proposal score is NaN, the latter alone. It is multiplied by
    `1 - contrast * outside`, where `outside` is the mean step score just outside the span, on the
    side where that is higher.
    """
    steps = len(curve)
    grid = np.arange(steps + 1)
    area = np.append(0.0, np.cumsum(curve))  # (T + 1,)
    start, end = spans.T

    def mean(
        first: Doubles, last: Doubles
    ) -> Doubles:  # of the step scores; 0 where there are no steps
        first, last = first.clip(0, steps), last.clip(0, steps)
        total: Doubles = np.interp(last, grid, area) - np.interp(first, grid, area)
        return total / np.maximum(last - first, 1e-9)

    inside = mean(start, end)
    beside = ((end - start) / 4).clip(2, 10)  # steps
    outside = np.maximum(mean(start - beside, start), mean(end, end + beside))
    proposed = np.where(np.isnan(proposed), inside, proposed)
    return np.sqrt(proposed * inside).clip(0, 1) * (1 - contrast * outside.clip(0, 1))


def soft_nms(
    spans: Doubles, scores: Doubles, sigma: float, min_score: float
) -> tuple[NDArray[np.int64], Doubles]:
    """Return the indices of candidates in the order they are chosen, and their decayed scores.

    Soft-NMS (Bodla et al., ICCV 2017): the best candidate is chosen, and the scores of the others
    are multiplied by `exp(-IoU² / sigma)` with it, until no score reaches `min_score`.
    """
    start, end = spans.T
    left = np.asarray(scores, dtype=float).copy()
    index = np.arange(len(left))
    kept: list[int] = []
    kept_scores: list[float] = []
    while len(left):
        best = int(left.argmax())
        if left[best] < min_score:
            break
        kept.append(int(index[best]))
        kept_scores.append(float(left[best]))
        left[best] = -1
        shared = np.minimum(end, end[best]) - np.maximum(start, start[best])
        near = np.flatnonzero(shared > 0)
        union = (end[near] - start[near]) + (end[best] - start[best]) - shared[near]
        left[near] *= np.exp(-((shared[near] / union) ** 2) / sigma)
        if len(kept) % 64 == 0:  # forget what can no longer be chosen
            alive = left >= min_score
            start, end, left, index = start[alive], end[alive], left[alive], index[alive]
    return np.array(kept, dtype=np.int64), np.array(kept_scores)
