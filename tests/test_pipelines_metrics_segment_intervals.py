"""Bootstrap intervals of segment metrics: the statistics are the metrics, and draws are videos."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from pipelines.metrics.segment_intervals import (
    PrecisionCurve,
    bootstrap,
    precision_curves,
    ratio,
    recall_statistics,
    shared_statistics,
)
from pipelines.metrics.segment_matching import (
    Proposals,
    best_match_precision,
    first_come_precision,
    first_rows_recall,
    overlaps,
    shared_recall,
)
from pipelines.metrics.segments import SegmentProtocol, localization

IOUS = (0.5, 0.75)


def drawn(seed: int, videos: int = 12, single: bool = False) -> list[Proposals]:
    """Videos with up to three segments and twenty proposals, some near them; scores often tie."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(videos):
        starts = rng.uniform(0, 9, rng.integers(0, 4))
        spans = np.stack([starts, starts + rng.uniform(0.5, 2, len(starts))], axis=1)
        begin = rng.uniform(0, 9, rng.integers(0, 20))
        rows = np.stack([begin, begin + rng.uniform(0.2, 2, len(begin))], axis=1)
        near = min(len(rows), 2 * len(spans))
        rows[:near] = np.repeat(spans, 2, axis=0)[:near] + rng.normal(0, 0.1, (near, 2))
        scores = rng.integers(0, 10, len(rows)) / 10
        found.append(Proposals(scores, overlaps(rows, spans, hull=single)))
    return found


def copies(videos: list[Proposals], weights: Any) -> list[Proposals]:
    return [video for video, count in zip(videos, weights, strict=True) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_with_each_video_once_the_statistics_are_the_metrics(seed: int) -> None:
    videos, once = drawn(seed), np.ones(12, dtype=np.int64)
    for ties in (False, True):
        expected = best_match_precision(videos, IOUS, merge_ties=ties)
        curves = precision_curves(videos, IOUS, first_come=False, merge_ties=ties)
        assert {iou: c(once) for iou, c in curves.items()} == pytest.approx(expected)
    for iou, curve in precision_curves(videos, IOUS, True, merge_ties=False).items():
        assert curve(once) == pytest.approx(first_come_precision(videos, iou))
    for skip in (False, True):
        for count, recall in recall_statistics(videos, (1, 5), True, skip).items():
            expected_recall = first_rows_recall(videos, count, strict=True, skip_silent=skip)
            assert recall(once) == pytest.approx(expected_recall)
    shared = {n: recall(once) for n, recall in shared_statistics(videos, (1, 5)).items()}
    assert shared == pytest.approx(shared_recall(videos, (1, 5)))


@pytest.mark.parametrize("seed", range(5))
def test_a_video_that_is_drawn_twice_counts_as_two_with_equal_scores(seed: int) -> None:
    videos = drawn(seed)
    weights = np.random.default_rng(seed).integers(0, 4, len(videos))
    expected = best_match_precision(copies(videos, weights), IOUS, merge_ties=True)
    curves = precision_curves(videos, IOUS, first_come=False, merge_ties=True)
    assert {iou: c(weights) for iou, c in curves.items()} == pytest.approx(expected)
    recalls = recall_statistics(videos, (1, 5), strict=False, skip_silent=False)
    for count, recall in recalls.items():
        expected_recall = first_rows_recall(copies(videos, weights), count, strict=False)
        assert recall(weights) == pytest.approx(expected_recall)


def test_the_interval_of_a_mean_is_that_of_the_normal_law() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(5.0, 1.0, 400)
    low, high = bootstrap({"mean": ratio(values, np.ones(400))}, 400, draws=2000)["mean"]
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)


def test_what_no_draw_defines_has_no_interval() -> None:
    nothing = PrecisionCurve(
        *(np.zeros(0, dtype=np.int64),) * 3, np.zeros(3, dtype=np.int64), False
    )
    assert bootstrap({"AP@0.5": nothing}, 3, draws=10) == {}


@pytest.mark.parametrize("protocol", get_args(SegmentProtocol))
def test_each_metric_of_a_protocol_lies_in_its_interval(protocol: SegmentProtocol) -> None:
    rng = np.random.default_rng(1)
    truth = {f"{n}": [[1.0, 2.0]] if n % 2 else [] for n in range(40)}
    rows = {
        name: [[0.5 + 0.4 * rng.random(), 1.0 + rng.normal(0, 0.2), 2.0], [0.3, 4.0, 5.0]]
        for name in truth
    }
    lengths = dict.fromkeys(truth, 6.0)
    row = localization(rows, truth, protocol, durations=lengths, intervals=True).to_dict()
    measured = [key for key in row if key.startswith(("AP@", "AR@", "false_"))]
    for key in measured:
        if not key.endswith("_interval") and row[key] is not None:
            low, high = row[f"{key}_interval"]
            assert low <= row[key] <= high, key
            assert high - low < 0.6 or key == "false_per_minute"
    assert localization(rows, truth, protocol).intervals == {}
