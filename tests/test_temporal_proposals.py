from math import exp

import numpy as np
import pytest
from numpy.typing import NDArray

from temporal.proposals import find_runs, score_spans, soft_nms

Array = NDArray[np.float64]


def brute_force_soft_nms(
    spans: list[list[float]], scores: list[float], sigma: float, floor: float
) -> list[tuple[int, float]]:
    left, kept = dict(enumerate(scores)), []
    while left and max(left.values()) >= floor:
        best = max(left, key=lambda i: (left[i], -i))
        kept.append((best, left.pop(best)))
        start, end = spans[best]
        for i in left:
            shared = max(0, min(end, spans[i][1]) - max(start, spans[i][0]))
            union = end - start + spans[i][1] - spans[i][0] - shared
            left[i] *= exp(-((shared / union) ** 2) / sigma)
    return kept


@pytest.mark.parametrize("seed", range(20))
def test_soft_nms_agrees_with_brute_force(seed: int) -> None:
    generator = np.random.default_rng(seed)
    count = [0, 1, 5, 30, 200][seed % 5]
    starts = generator.random(count) * 100
    spans = np.stack([starts, starts + 0.5 + 30 * generator.random(count)], axis=1)
    scores = generator.random(count)
    kept, decayed = soft_nms(spans, scores, sigma=0.5, min_score=0.05)
    expected = brute_force_soft_nms(spans.tolist(), scores.tolist(), 0.5, 0.05)
    assert kept.tolist() == [i for i, _ in expected]
    assert decayed.tolist() == pytest.approx([score for _, score in expected])


def test_soft_nms_by_hand() -> None:
    spans = np.array([[0.0, 4.0], [2.0, 6.0], [10.0, 12.0]])  # the IoU of the first two is 1/3
    kept, scores = soft_nms(spans, np.array([0.9, 0.8, 0.3]), sigma=0.5, min_score=0.01)
    assert kept.tolist() == [0, 1, 2]
    assert scores.tolist() == pytest.approx([0.9, 0.8 * exp(-2 / 9), 0.3])


def test_runs_ignore_single_steps_and_close_short_gaps() -> None:
    curve = np.zeros(40)
    curve[5] = 1  # one step makes no run
    curve[10:20] = 1
    curve[14] = 0  # nor does one break it
    curve[23:30] = 1  # three steps after the run before
    assert find_runs(curve, [0.5], gap=2).tolist() == [[10, 20], [23, 30]]
    assert find_runs(curve, [0.5], gap=3).tolist() == [[10, 30]]
    assert find_runs(np.zeros(9), [0.5], gap=3).shape == (0, 2)


def test_a_step_that_is_covered_in_part_moves_the_edge_of_a_run() -> None:
    curve = np.zeros(20)
    curve[6:14] = 1
    curve[5], curve[14] = 0.4, 0.8  # a segment from 5.6 to 14.8
    ((start, end),) = find_runs(curve, [0.5], gap=0)
    assert start == pytest.approx(5.6, abs=0.15)
    assert end == pytest.approx(14.8, abs=0.15)


@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_a_run_over_everything_goes_from_end_to_end(steps: int) -> None:
    assert find_runs(np.full(steps, 0.8), [0.3, 0.5], gap=3).tolist() == [[0, steps]]
    assert find_runs(np.full(steps, 0.5), [0.5], gap=3).tolist() == [[0, steps]]


def test_each_threshold_finds_its_own_runs() -> None:
    curve = np.full(30, 0.4)
    curve[10:20] = 0.9
    runs = find_runs(curve, [0.3, 0.6], gap=0)
    assert runs.tolist() == [[0, 30], [pytest.approx(9.9), pytest.approx(20.1)]]


def test_a_score_joins_proposal_and_steps_inside_and_outside() -> None:
    curve = np.array([0.0] * 10 + [0.64] * 10 + [0.2] * 10)
    spans = np.array([[10.0, 20.0], [10.0, 20.0], [9.0, 14.0], [0.0, 30.0]])
    proposed = np.array([0.25, np.nan, 1.0, np.nan])
    scores = score_spans(spans, proposed, curve, contrast=1.0)
    around = 0.8  # 1 less the 0.2 after the end
    expected = [0.4 * around, 0.64 * around, (0.64 * 4 / 5) ** 0.5 * (1 - 0.64), 0.28]
    assert scores.tolist() == pytest.approx(expected)
    scores = score_spans(spans, proposed, curve, contrast=0.0)
    assert scores.tolist() == pytest.approx([0.4, 0.64, (0.64 * 4 / 5) ** 0.5, 0.28])
