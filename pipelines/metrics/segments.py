"""Temporal localization: AP@IoU and AR@N of proposed segments, by a named protocol.

The field measures in two incompatible ways, "lavdf" / "av1m" and "activitynet" / "forgerynet";
both are kept to reproduce published numbers, quirks included. "avdetect" is our own: the second
without its dependence on the order of a file, and with the false alarms on real videos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from extractors.clip import Doubles
from extractors.errors import InputError
from pipelines.metrics.segment_intervals import segment_intervals
from pipelines.metrics.segment_matching import (
    RECALL_IOUS,
    Proposals,
    best_match_precision,
    first_come_precision,
    first_rows_recall,
    overlaps,
    shared_recall,
)

Rows = Sequence[Sequence[float]] | NDArray[np.floating[Any]]
SegmentProtocol = Literal["avdetect", "lavdf", "av1m", "activitynet", "forgerynet"]
VERSION = "2"  # of the protocols: goes up when any number that they give changes


AP_IOUS: dict[str, tuple[float, ...]] = {
    "avdetect": (0.5, 0.75, 0.9, 0.95),
    "lavdf": (0.5, 0.75, 0.95),
    "av1m": (0.5, 0.75, 0.9, 0.95),
    "activitynet": RECALL_IOUS,
    "forgerynet": RECALL_IOUS,
}
AR_COUNTS: dict[str, tuple[int, ...]] = {
    "avdetect": (1, 2, 5, 10, 20, 50, 100),
    "lavdf": (100, 50, 20, 10),
    "av1m": (50, 30, 20, 10, 5),
    "activitynet": (1, 5, 10, 100),
    "forgerynet": (2, 5),
}


@dataclass(frozen=True)
class LocalizationResult:
    """AP@IoU and AR@N of one protocol, and the counts behind them. NaN without true segments."""

    protocol: str
    average_precision: dict[float, float]  # by IoU
    average_recall: dict[int, float]  # by N, the mean over IoU 0.50:0.05:0.95
    false_per_minute: float | None  # segments per minute of real video; None without durations
    videos: int
    real_videos: int
    segments: int  # true ones
    proposals: int
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # 95 %, by key

    @property
    def mean_precision(self) -> float | None:
        """AP@0.5:0.95, the mean over the ten IoUs; None where they were not measured."""
        if set(self.average_precision) != set(RECALL_IOUS):
            return None
        return _number(float(np.mean(list(self.average_precision.values()))))

    @property
    def challenge_score(self) -> float | None:
        """The AV-Deepfake1M++ challenge's ranking score: half mean AP plus half mean AR."""
        scored = tuple(self.average_precision), tuple(self.average_recall)
        if self.protocol != "av1m" or scored != (AP_IOUS["av1m"], AR_COUNTS["av1m"]):
            return None
        precision = np.mean(list(self.average_precision.values()))
        return _number(float(precision + np.mean(list(self.average_recall.values()))) / 2)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as one flat row, as result files hold it."""
        return {
            "protocol": self.protocol,
            "version": VERSION,
            **{f"AP@{iou:g}": _number(value) for iou, value in self.average_precision.items()},
            **{f"AR@{count}": _number(value) for count, value in self.average_recall.items()},
            "AP@0.5:0.95": self.mean_precision,
            "challenge_score": self.challenge_score,
            "false_per_minute": self.false_per_minute,
            **{f"{name}_interval": list(bounds) for name, bounds in self.intervals.items()},
            "videos": self.videos,
            "real_videos": self.real_videos,
            "segments": self.segments,
            "proposals": self.proposals,
        }


def localization(
    predictions: Mapping[str, Rows],
    truth: Mapping[str, Rows],
    protocol: SegmentProtocol = "avdetect",
    *,
    ious: Sequence[float] | None = None,
    counts: Sequence[int] | None = None,
    durations: Mapping[str, float] | None = None,
    alarm_score: float = 0.5,
    reported: Mapping[str, int] | None = None,
    fps: float = 1.0,
    intervals: bool = False,
) -> LocalizationResult:
    """Return average precision and average recall of the proposed segments.

    - "lavdf": IoU over the hull in float32; a hit needs IoU > t; true segments, in order, take
      the first free proposal in file order; the first recall step is lost; AR looks at the first
      N rows of a video. A video with fewer than N rows counts with those that it has.
    - "av1m": the same, and a video without rows is left out of AR, which rewards silence.
    - "activitynet": a hit needs IoU >= t; proposals, by score over all videos, take the best free
      segment; AR@N cuts each video at a share of its proposals, N being their mean number.
    - "forgerynet": AP as activitynet, and its mean; AR@N of the N best of each video.
    - "avdetect": AP as activitynet (equal scores are one step of the curve), AR@N of the N best of
      each video; every video counts, and no order in the files matters.

    Args:
        predictions: by video, rows (score, start, end). lavdf and av1m need a row list for every
            video of the truth, maybe an empty one; else a video without one has no proposals.
        truth: by video, rows (start, end) in seconds; none for a real video.
        protocol: whose rules apply.
        ious: thresholds of AP. Default: the protocol's own.
        counts: N of AR. Default: the protocol's own.
        durations: seconds of each video, for the false alarms on real ones.
        alarm_score: segments of real videos with this score or more are false alarms.
        reported: number of segments that the system itself reported, by video: then those of real
            videos are the false alarms.
        fps: predicted starts and ends are divided by it (25 for LAV-DF's frame numbers).
        intervals: also bootstrap 95 % intervals over videos.

    Raises:
        InputError: a NaN, a wrong row, or videos that only one of the two files has.
    """
    if protocol not in get_args(SegmentProtocol):
        raise InputError(
            f"expected protocol {', '.join(get_args(SegmentProtocol))}, got {protocol!r}"
        )
    videos = _videos(predictions, truth, protocol, fps)
    ious = AP_IOUS[protocol] if ious is None else ious
    counts = AR_COUNTS[protocol] if counts is None else counts
    compared = list(videos.values())
    if protocol == "activitynet":
        precision = best_match_precision(compared, ious, merge_ties=False)
        recall = shared_recall(compared, counts)
    elif protocol == "forgerynet":
        precision = best_match_precision(compared, ious, merge_ties=False)
        recall = {n: first_rows_recall(compared, n, strict=False) for n in counts}
    elif protocol == "avdetect":
        precision = best_match_precision(compared, ious, merge_ties=True)
        recall = {n: first_rows_recall(compared, n, strict=False) for n in counts}
    else:
        precision = {iou: first_come_precision(compared, iou) for iou in ious}
        skip = protocol == "av1m"
        recall = {n: first_rows_recall(compared, n, strict=True, skip_silent=skip) for n in counts}
    real = {name: video for name, video in videos.items() if not video.segments}
    alarms = _alarms(real, alarm_score, reported)
    return LocalizationResult(
        protocol, precision, recall, _false_per_minute(alarms, durations),
        videos=len(videos), real_videos=len(real),
        segments=sum(video.segments for video in compared),
        proposals=sum(len(video.scores) for video in compared),
        intervals=segment_intervals(
            videos, protocol, ious, counts, alarms, durations
        ) if intervals else {},
    )  # fmt: skip


def _videos(
    predictions: Mapping[str, Rows],
    truth: Mapping[str, Rows],
    protocol: SegmentProtocol,
    fps: float,
) -> dict[str, Proposals]:
    """Return the proposals and overlaps by video, in the protocol's order."""
    missing = [name for name in truth if name not in predictions]
    unknown = [name for name in predictions if name not in truth]
    single = protocol in ("lavdf", "av1m")
    if missing and single:
        raise InputError(
            f"{protocol} needs rows for every video, and has none for {missing[:3]}; an empty list "
            "will do"
        )
    if unknown and protocol == "avdetect":
        raise InputError(f"the predictions have {unknown[:3]}, which the truth does not know")
    videos = {}
    pooled = protocol in ("activitynet", "forgerynet")
    for name in [*predictions, *missing] if pooled else truth:
        rows = _table(predictions.get(name, ()), ("score", "start", "end"), name)
        segments = _table(truth.get(name, ()), ("start", "end"), name)
        if single:
            rows, segments = rows.astype(np.float32), segments.astype(np.float32)
        elif pooled:
            segments = _distinct(segments)
        if protocol == "forgerynet":
            rows = rows[np.argsort(-rows[:, 0], kind="stable")]
        elif protocol == "avdetect":
            rows = rows[np.lexsort((rows[:, 2], rows[:, 1], -rows[:, 0]))]
        overlap = overlaps(rows[:, 1:] / rows.dtype.type(fps), segments, hull=single)
        if protocol == "avdetect":
            overlap = overlap + 1e-9  # seconds are decimal: 0.6 s / 0.8 s falls short of 0.75
        videos[name] = Proposals(rows[:, 0].copy(), overlap)  # a view would keep all rows
    return videos


def _table(rows: Rows, columns: tuple[str, ...], name: str) -> Doubles:
    """Return rows as an array (n, columns)."""
    if isinstance(rows, np.ndarray) and rows.shape[1:] == (len(columns),):
        return _without_nan(rows.astype(float), columns, name)
    wrong = [row for row in rows if len(row) != len(columns)]
    if wrong:
        raise InputError(f"{name}: expected rows ({', '.join(columns)}), got {wrong[0]}")
    table = np.array(rows, dtype=float).reshape(len(rows), len(columns))
    return _without_nan(table, columns, name)


def _without_nan(table: Doubles, columns: tuple[str, ...], name: str) -> Doubles:
    if np.isnan(table).any():
        raise InputError(f"{name}: expected {', '.join(columns)} as numbers, got NaN")
    return table


def _distinct(segments: Doubles) -> Doubles:
    """Return the non-empty segments (G, 2), without those that repeat an earlier one to 1 ms."""
    kept: list[Doubles] = []
    for segment in segments:
        repeats = any((np.abs(segment - other) <= 1e-3).all() for other in kept)
        if segment[1] > segment[0] and not repeats:
            kept.append(segment)
    return np.array(kept).reshape(-1, 2)


def _alarms(
    real: Mapping[str, Proposals], alarm_score: float, reported: Mapping[str, int] | None
) -> dict[str, int]:
    """Return the number of false alarms of each real video."""
    if reported is not None:
        return {name: reported.get(name, 0) for name in real}
    return {n: int((v.scores >= v.scores.dtype.type(alarm_score)).sum()) for n, v in real.items()}


def _false_per_minute(
    alarms: Mapping[str, int], durations: Mapping[str, float] | None
) -> float | None:
    """Return the false alarms per minute of real video; None if unknown."""
    if durations is None or not alarms:
        return None
    unknown = [name for name in alarms if name not in durations]
    if unknown:
        raise InputError(f"expected the duration of every real video, got none for {unknown[:3]}")
    return 60 * sum(alarms.values()) / sum(durations[name] for name in alarms)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
