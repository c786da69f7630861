"""Bootstrap intervals of AP, AR and false alarms: videos are drawn, each with all its proposals.

A video that is drawn k times counts k times. Proposals are matched once, since no other video
changes their matches; only the precision at each is computed again for every draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from extractors.clip import Doubles, Flags
from pipelines.metrics.segment_matching import (
    RECALL_IOUS,
    Proposals,
    best_match_hits,
    first_come_hits,
    found_segments,
    shared_rows,
)

DRAWS = 1000
MANY, FEWER = 50_000, 200  # proposals above which there are fewer draws
Weights = NDArray[np.int64]  # (V,) how often each video was drawn
Statistic = Callable[[Weights], float]


def segment_intervals(
    videos: Mapping[str, Proposals],
    protocol: str,
    ious: Sequence[float],
    counts: Sequence[int],
    alarms: Mapping[str, int],
    durations: Mapping[str, float] | None,
) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of every metric by its key in result files.

    Args:
        videos: proposals by video, as the protocol compares them.
        protocol: see `pipelines.metrics.segments.localization`.
        ious: thresholds of AP.
        counts: N of AR.
        alarms: false alarms of each real video.
        durations: seconds of each video; None: no false alarms per minute.
    """
    compared, single = list(videos.values()), protocol in ("lavdf", "av1m")
    curves = precision_curves(compared, ious, single, merge_ties=protocol == "avdetect")
    if protocol == "activitynet":
        recalls = shared_statistics(compared, counts)
    else:
        recalls = recall_statistics(compared, counts, single, skip_silent=protocol == "av1m")
    statistics: dict[str, Statistic] = {f"AP@{iou:g}": curve for iou, curve in curves.items()}
    statistics |= {f"AR@{count}": recall for count, recall in recalls.items()}
    if set(ious) == set(RECALL_IOUS):
        statistics["AP@0.5:0.95"] = lambda w: float(np.mean([c(w) for c in curves.values()]))
    if durations is not None and alarms:
        alarmed = np.array([60.0 * alarms.get(name, 0) for name in videos])
        lengths = np.array([durations[n] if n in alarms else 0.0 for n in videos])
        statistics["false_per_minute"] = ratio(alarmed, lengths)
    proposals = sum(len(video.scores) for video in compared)
    return bootstrap(statistics, len(compared), DRAWS if proposals <= MANY else FEWER)


@dataclass(frozen=True, eq=False)
class PrecisionCurve:
    """The precision-recall curve of all proposals at one IoU, for any weights of their videos."""

    owner: NDArray[np.int64]  # (P,) the video of each proposal, best score first
    hits: NDArray[np.int64]  # (H,) places of proposals that hit
    ends: NDArray[np.int64]  # (H,) places where the curve has its points: last of equal scores
    segments: NDArray[np.int64]  # (V,) true segments of each video
    loses_first: bool  # the step from recall 0 to that of the first proposal does not count

    def __call__(self, weights: Weights) -> float:
        """Return AP; NaN without true segments."""
        total = int(weights @ self.segments)
        if not total:
            return float("nan")
        rows = weights[self.owner]
        counted = np.cumsum(rows)
        steps = rows[self.hits]
        true_positives = np.cumsum(steps)
        last = np.searchsorted(self.hits, self.ends, side="right") - 1
        precision = true_positives[last] / counted[self.ends].clip(1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        area = float(steps @ precision)
        if self.loses_first and len(self.hits) and (drawn := np.flatnonzero(rows)).size:
            at = np.searchsorted(self.hits, drawn[0])
            if at < len(self.hits) and self.hits[at] == drawn[0]:
                area -= float(precision[at])
        return area / total


def ratio(parts: Doubles, wholes: Doubles) -> Statistic:
    """Return the statistic sum(parts) / sum(wholes) over videos, arrays (V,)."""

    def statistic(weights: Weights) -> float:
        whole = float(weights @ wholes)
        return float(weights @ parts) / whole if whole else float("nan")

    return statistic


def precision_curves(
    videos: Sequence[Proposals], ious: Sequence[float], first_come: bool, merge_ties: bool
) -> dict[float, PrecisionCurve]:
    """Return the curve of each IoU.

    Args:
        videos: V of them.
        ious: thresholds.
        first_come: by the rules of `first_come_precision`, else of `best_match_precision`.
        merge_ties: equal scores are one step of the curve.
    """
    scores = np.concatenate([[], *(video.scores for video in videos)])
    order = np.argsort(-scores, kind="stable") if first_come else np.argsort(scores, kind="stable")
    order = order if first_come else order[::-1]
    owner = np.repeat(np.arange(len(videos)), [len(video.scores) for video in videos])[order]
    segments = np.array([video.segments for video in videos], dtype=np.int64)
    end = np.arange(len(scores))
    if merge_ties and len(scores):
        last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
        end = last[np.searchsorted(last, end)]
    curves = {}
    for iou, flags in _hits(videos, ious, first_come).items():
        hits = np.flatnonzero(flags[order])
        curves[iou] = PrecisionCurve(owner, hits, end[hits], segments, first_come)
    return curves


def _hits(
    videos: Sequence[Proposals], ious: Sequence[float], first_come: bool
) -> dict[float, Flags]:
    """Return for each IoU whether each proposal (P,) is a hit, in the order of the videos."""
    none = np.zeros(0, dtype=bool)
    if first_come:
        return {i: np.concatenate([none, *(first_come_hits(v, i) for v in videos)]) for i in ious}
    tables = [best_match_hits(video, ious) for video in videos]
    joined = np.concatenate([np.zeros((len(ious), 0), dtype=bool), *tables], axis=1)
    return dict(zip(ious, joined, strict=True))


def recall_statistics(
    videos: Sequence[Proposals], counts: Sequence[int], strict: bool, skip_silent: bool
) -> dict[int, Statistic]:
    """Return AR@N by N, by the rules of `first_rows_recall`, for any weights of videos."""
    heard = np.array([bool(len(video.scores)) or not skip_silent for video in videos])
    segments = np.array([video.segments for video in videos], dtype=float) * heard
    return {
        count: ratio(
            _recalled_counts([v.overlap[:count] for v in videos], strict) * heard, segments
        )
        for count in counts
    }


def shared_statistics(videos: Sequence[Proposals], counts: Sequence[int]) -> dict[int, Statistic]:
    """Return AR@N by N, by the rules of `shared_recall`; the cut is that of all videos."""
    forged = np.array([bool(video.segments) for video in videos])
    segments = np.array([video.segments for video in videos], dtype=float)
    statistics = {}
    for count, kept in shared_rows(videos, counts).items():
        recalled = np.zeros(len(videos))
        recalled[forged] = _recalled_counts(kept, strict=False)
        statistics[count] = ratio(recalled, segments)
    return statistics


def _recalled_counts(tables: Sequence[Doubles], strict: bool) -> Doubles:
    """Return (V,), the number of recalled segments of each video, averaged over the IoUs."""
    return np.array([found_segments(t, strict).sum() / len(RECALL_IOUS) for t in tables])


def bootstrap(
    statistics: Mapping[str, Statistic], videos: int, draws: int, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return the 95 % percentile interval of each statistic over videos drawn with replacement.

    A statistic that is NaN in every draw is left out.
    """
    generator = np.random.default_rng(seed)
    values: dict[str, list[float]] = {name: [] for name in statistics}
    for _ in range(draws):
        weights = np.bincount(generator.integers(videos, size=videos), minlength=videos)
        for name, statistic in statistics.items():
            values[name].append(statistic(weights))
    intervals = {}
    for name, drawn in values.items():
        defined = np.array(drawn)[~np.isnan(drawn)]
        if len(defined):
            low, high = np.quantile(defined, [0.025, 0.975])
            intervals[name] = float(low), float(high)
    return intervals
