import numpy as np
import pytest

from pipelines.metrics.segments import Rows, SegmentProtocol, localization

Predictions = dict[str, Rows]

TRUTH: Predictions = {"a": [[1, 2], [5, 6]], "b": [[0, 1]], "c": []}
G1: Predictions = {
    "a": [[0.9, 1, 2], [0.8, 5, 5.92], [0.1, 3, 4]],
    "b": [[0.7, 0, 0.5]],
    "c": [[0.85, 0, 1]],
}
G2: Predictions = {**G1, "c": []}
G3: Predictions = {**G1, "a": [[0.1, 3, 4], [0.2, 1.05, 2], [0.8, 5, 5.92], [0.9, 1, 2]]}
G4: Predictions = {**G2, "b": []}

IOUS = (0.5, 0.75, 0.9, 0.95)


def measure(
    protocol: SegmentProtocol, predictions: Predictions, truth: Predictions = TRUTH
) -> tuple[list[float], list[float]]:
    """AP at four IoUs, and AR@1, 2, 5."""
    result = localization(predictions, truth, protocol, ious=IOUS, counts=(1, 2, 5))
    return list(result.average_precision.values()), list(result.average_recall.values())


@pytest.mark.parametrize(
    ("predictions", "first_come", "best_match", "recall", "recall_av1m"),
    [
        (G1, [2 / 9] * 3 + [0], [5 / 6, 5 / 9, 5 / 9, 1 / 3], [1 / 3, 19 / 30, 19 / 30], None),
        (G2, [1 / 3] * 3 + [0], [1, 2 / 3, 2 / 3, 1 / 3], [1 / 3, 19 / 30, 19 / 30], None),
        # The IoU of [1.05, 2] and [1, 2] is 0.95, and above it in the scorers' float32.
        (
            G3,
            [4 / 15] * 3 + [1 / 15],
            [5 / 6, 5 / 9, 5 / 9, 1 / 3],
            [0, 1 / 3, 19 / 30],
            None,
        ),
        # Silence on b makes recall better in av1m.
        (
            G4,
            [1 / 3] * 3 + [0],
            [2 / 3, 2 / 3, 2 / 3, 1 / 3],
            [1 / 3, 19 / 30, 19 / 30],
            [0.5, 0.95, 0.95],
        ),
    ],
    ids=["G1", "G2", "G3", "G4"],
)
def test_golden_vectors_of_the_fields_two_families(
    predictions: Predictions,
    first_come: list[float],
    best_match: list[float],
    recall: list[float],
    recall_av1m: list[float] | None,
) -> None:
    cases: list[tuple[SegmentProtocol, list[float]]] = [
        ("lavdf", recall),
        ("av1m", recall_av1m or recall),
    ]
    for protocol, expected in cases:
        measured = measure(protocol, predictions)
        assert measured[0] == pytest.approx(first_come)
        assert measured[1] == pytest.approx(expected)
    assert measure("activitynet", predictions)[0] == pytest.approx(best_match)
    assert measure("avdetect", predictions)[0] == pytest.approx(best_match)


def test_own_protocol_by_hand() -> None:
    truth: Predictions = {"A": [[2, 4]], "B": [[1, 3], [6, 8]], "C": []}
    predictions: Predictions = {
        "A": [[0.9, 2, 4], [0.3, 0, 1]],
        "B": [[0.8, 1, 2.5], [0.6, 6.5, 8.5], [0.2, 1, 3]],
        "C": [[0.7, 0, 5]],
    }
    result = localization(predictions, truth, durations={"A": 9, "B": 9, "C": 30})
    precision, recall = result.average_precision, result.average_recall
    assert [precision[iou] for iou in (0.5, 0.75, 0.9)] == pytest.approx([11 / 12, 2 / 3, 4 / 9])
    assert (recall[2], recall[5]) == pytest.approx((19 / 30, 23 / 30))
    assert result.false_per_minute == 2.0
    assert (result.videos, result.real_videos, result.segments, result.proposals) == (3, 1, 3, 6)


def test_false_alarms_are_what_was_reported_where_a_system_says_so() -> None:
    truth: Predictions = {"A": [[2, 4]], "C": [], "D": []}
    predictions: Predictions = {"A": [], "C": [[0.7, 0, 5], [0.6, 5, 6]], "D": [[0.9, 0, 1]]}
    lengths = {"A": 9, "C": 20, "D": 40}
    own = localization(predictions, truth, durations=lengths, reported={"A": 5, "D": 1})
    assert own.false_per_minute == 1.0
    assert localization(predictions, truth, durations=lengths).false_per_minute == 3.0


def test_recall_of_activitynet_cuts_each_video_at_the_same_share() -> None:
    # Two forged videos and four proposals for them: N = 1 is half of each video's, rounded down.
    predictions: Predictions = {
        "a": [[0.9, 1, 2], [0.8, 5, 6], [0.1, 3, 4]],
        "b": [[0.7, 0, 1]],
        "c": [[0.85, 0, 1]],
    }
    assert measure("activitynet", predictions)[1] == pytest.approx([1 / 3, 1, 1])


def random_corpus(seed: int) -> tuple[Predictions, Predictions]:
    """Predictions and truth of six videos on the step grid, with equal scores."""
    generator = np.random.default_rng(seed)
    truth: Predictions = {}
    predictions: Predictions = {}
    for name in "abcdef":
        starts = 3 * generator.permutation(8)[: generator.integers(0, 4)]
        truth[name] = [[float(s), s + generator.choice([0.2, 0.4, 2.0])] for s in sorted(starts)]
        rows = []
        for _ in range(generator.integers(0, 9)):
            start, end = 3.0 * generator.integers(0, 8), 0.0
            if truth[name] and generator.random() < 0.7:
                start, end = truth[name][generator.integers(len(truth[name]))]
            start = max(0.0, start + generator.integers(-3, 4) / 25)
            end = max(start + 0.04, end + generator.integers(-3, 4) / 25)
            rows.append([float(generator.random().__round__(1)), start, end])
        predictions[name] = rows
    truth["a"] = truth["a"] or [[1.0, 2.0]]
    return predictions, truth


def iou(first: list[float], second: list[float]) -> float:
    shared = max(0.0, min(first[1], second[1]) - max(first[0], second[0]))
    return shared / (first[1] - first[0] + second[1] - second[0] - shared) + 1e-9


def brute_force_precision(predictions: Predictions, truth: Predictions, threshold: float) -> float:
    rows = [(row[0], name, [*row[1:]]) for name, video in predictions.items() for row in video]
    rows.sort(reverse=True)
    free = {name: [[*segment] for segment in segments] for name, segments in truth.items()}
    found, curve = 0, []
    for place, (score, name, segment) in enumerate(rows):
        best = max(free[name], key=lambda other: iou(segment, other), default=[9e9, 9e9])
        if iou(segment, best) >= threshold:
            free[name].remove(best)
            found += 1
        if place + 1 == len(rows) or rows[place + 1][0] < score:
            curve.append((found, found / (place + 1)))
    total, before, area = sum(map(len, truth.values())), 0, 0.0
    for i, (found, _) in enumerate(curve):
        area += (found - before) / total * max(precision for _, precision in curve[i:])
        before = found
    return area


def brute_force_recall(predictions: Predictions, truth: Predictions, count: int) -> float:
    hits = []
    for name, segments in truth.items():
        best = sorted(predictions[name], key=lambda row: (-row[0], row[1], row[2]))[:count]
        for segment in segments:
            closest = max((iou(list(row[1:]), list(segment)) for row in best), default=0.0)
            hits += [closest >= k / 20 for k in range(10, 20)]
    return float(np.mean(hits))


@pytest.mark.parametrize("seed", range(25))
def test_own_protocol_agrees_with_brute_force(seed: int) -> None:
    predictions, truth = random_corpus(seed)
    precision, recall = measure("avdetect", predictions, truth)
    expected = [brute_force_precision(predictions, truth, threshold) for threshold in IOUS]
    assert precision == pytest.approx(expected)
    expected = [brute_force_recall(predictions, truth, count) for count in (1, 2, 5)]
    assert recall == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(10))
def test_own_protocol_does_not_depend_on_any_order(seed: int) -> None:
    predictions, truth = random_corpus(seed)
    generator = np.random.default_rng(seed)

    def shuffled(videos: Predictions) -> Predictions:
        names = generator.permutation(list(videos))
        return {
            str(n): [videos[n][i] for i in generator.permutation(len(videos[n]))] for n in names
        }

    expected = localization(predictions, truth)
    assert localization(shuffled(predictions), shuffled(truth)) == expected


def test_perfect_proposals_give_one_and_copies_cost_precision_only() -> None:
    perfect: Predictions = {name: [[0.9, *row] for row in rows] for name, rows in TRUTH.items()}
    assert measure("avdetect", perfect) == ([1] * 4, [pytest.approx(2 / 3), 1, 1])
    copies: Predictions = {name: [*rows, *rows] for name, rows in perfect.items()}
    precision, recall = measure("avdetect", copies)
    assert precision == [0.5] * 4
    assert recall[2] == 1
    late: Predictions = {
        name: [*rows, *([0.1, *row[1:]] for row in rows)] for name, rows in perfect.items()
    }
    assert measure("avdetect", late)[0] == [1] * 4  # all segments were found before the copies


def test_frame_numbers_are_divided_by_the_rate() -> None:
    frames: Predictions = {
        name: [[score, 25 * start, 25 * end] for score, start, end in rows]
        for name, rows in G1.items()
    }
    by_frame = localization(frames, TRUTH, "lavdf", fps=25)
    assert by_frame == localization(G1, TRUTH, "lavdf")


def test_nothing_proposed_and_nothing_forged() -> None:
    silent: Predictions = {name: [] for name in TRUTH}
    protocols: tuple[SegmentProtocol, ...] = ("avdetect", "lavdf", "activitynet")
    for protocol in protocols:
        assert measure(protocol, silent) == ([0] * 4, [0] * 3)
    real: Predictions = {"a": [], "b": []}
    result = localization({"a": [[0.6, 0, 1], [0.4, 0, 1]]}, real, durations={"a": 20, "b": 40})
    row = result.to_dict()
    assert row["protocol"] == "avdetect"
    assert row["AP@0.5"] is None
    assert row["AR@10"] is None
    assert row["false_per_minute"] == 1.0


def test_unusable_files_are_errors_that_name_the_video() -> None:
    with pytest.raises(ValueError, match=r"lavdf needs rows for every video.*'c'"):
        localization({"a": [], "b": []}, TRUTH, "lavdf")
    with pytest.raises(ValueError, match=r"\['z'\], which the truth does not know"):
        localization({"z": []}, TRUTH)
    with pytest.raises(ValueError, match="a: expected score, start, end as numbers"):
        localization({"a": [[float("nan"), 0, 1]]}, TRUTH)
    with pytest.raises(ValueError, match=r"a: expected rows \(score, start, end\), got \[0, 1\]"):
        localization({"a": [[0, 1], [1, 2], [2, 3]]}, TRUTH)
    with pytest.raises(ValueError, match="expected protocol"):
        localization(G1, TRUTH, "coco")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="duration of every real video"):
        localization(G1, TRUTH, durations={"a": 1})


def test_forgerynets_hand_case_and_mean_precision() -> None:
    truth: Predictions = {"A": [[2, 4]], "B": [[1, 3], [6, 8]], "C": []}
    predictions: Predictions = {  # rows out of order: the best of each video count, not the first
        "A": [[0.3, 0, 1], [0.9, 2, 4]],
        "B": [[0.2, 1, 3], [0.6, 6.5, 8.5], [0.8, 1, 2.5]],
        "C": [[0.7, 0, 5]],
    }
    result = localization(predictions, truth, "forgerynet")
    precision = result.average_precision
    assert [precision[iou] for iou in (0.5, 0.75, 0.9)] == pytest.approx([11 / 12, 2 / 3, 4 / 9])
    assert result.average_recall == pytest.approx({2: 19 / 30, 5: 23 / 30})
    mean = (11 / 12 * 3 + 2 / 3 * 3 + 4 / 9 * 4) / 10  # IoU 0.6 and 0.75 of two segments
    assert result.mean_precision == pytest.approx(mean)


def test_lavdfs_strict_rule_on_the_same_case() -> None:
    truth: Predictions = {"A": [[2, 4]], "B": [[1, 3], [6, 8]], "C": []}
    predictions: Predictions = {
        "A": [[0.9, 2, 4], [0.3, 0, 1]],
        "B": [[0.8, 1, 2.5], [0.6, 6.5, 8.5], [0.2, 1, 3]],
        "C": [[0.7, 0, 5]],
    }
    recall = localization(predictions, truth, "lavdf", counts=(2, 5)).average_recall
    assert recall == pytest.approx({2: 17 / 30, 5: 22 / 30})


def test_challenge_score_is_an_eighth_of_each_precision_and_a_tenth_of_each_recall() -> None:
    result = localization(G1, TRUTH, "av1m")
    expected = sum(result.average_precision.values()) / 8 + sum(result.average_recall.values()) / 10
    assert result.challenge_score == pytest.approx(expected)
    assert result.challenge_score == pytest.approx((3 * 2 / 9) / 8 + 5 * 19 / 30 / 10)
    assert localization(G1, TRUTH, "av1m", counts=(1,)).challenge_score is None
    assert localization(G1, TRUTH).challenge_score is None
    assert localization(G1, TRUTH).mean_precision is None


def test_arrays_are_rows_too() -> None:
    predictions = {name: np.array(rows).reshape(-1, 3) for name, rows in G1.items()}
    truth = {name: np.array(rows).reshape(-1, 2) for name, rows in TRUTH.items()}
    assert localization(predictions, truth) == localization(G1, TRUTH)
    with pytest.raises(ValueError, match="as numbers, got NaN"):
        localization({"a": np.array([[np.nan, 0, 1]])}, TRUTH)
