"""Metrics of heads: known answers and other implementations."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, label_ranking_average_precision_score

from pipelines.metrics.attribution import (
    cluster_accuracy,
    mean_interval,
    multi_label_metrics,
    tag_metrics,
)


def test_cluster_accuracy_is_known_and_does_not_depend_on_names() -> None:
    truth = [0, 0, 1, 1, 2, 2]
    assert cluster_accuracy(truth, [1, 1, 2, 2, 0, 1]) == pytest.approx(5 / 6)
    assert cluster_accuracy(list("ccaabb"), [7, 7, 9, 9, 3, 7]) == pytest.approx(5 / 6)
    assert cluster_accuracy(truth, [0] * 6) == pytest.approx(1 / 3)


def test_with_one_label_a_clip_any_correct_is_the_accuracy() -> None:
    rng = np.random.default_rng(0)
    which, scores = rng.integers(0, 4, 50), rng.normal(size=(50, 4))
    found = multi_label_metrics(np.eye(4)[which], scores, 0.0)
    assert found["any_correct"] == pytest.approx((scores.argmax(axis=1) == which).mean())


def test_pooled_f1_exact_match_and_a_perfect_ranking_are_as_elsewhere() -> None:
    rng = np.random.default_rng(1)
    truth, scores = rng.random((60, 3)) < 0.4, rng.normal(size=(60, 3))
    found = multi_label_metrics(truth, scores, 0.2)
    assert found["of1"] == pytest.approx(f1_score(truth, scores >= 0.2, average="micro"))
    assert found["exact"] == pytest.approx(((scores >= 0.2) == truth).all(axis=1).mean())
    right = multi_label_metrics(truth, truth.astype(float), 0.5)
    assert label_ranking_average_precision_score(truth, truth.astype(float)) == 1.0
    assert all(right[name] == 1.0 for name in right)


def test_f1_over_labels_is_of_mean_precision_and_mean_recall() -> None:
    truth = np.array([[1, 0], [1, 0], [0, 1]])
    said = np.array([[1, 1], [-1, -1], [-1, 1]])  # precisions 1 and 1/2, recalls 1/2 and 1
    assert multi_label_metrics(truth, said, 0.0)["cf1"] == pytest.approx(0.75)


def test_an_interval_holds_its_mean_and_shrinks_with_clips() -> None:
    few, many = mean_interval([0.0, 1.0] * 10), mean_interval([0.0, 1.0] * 1000)
    assert few[1] < few[0] == many[0] == 0.5 < few[2]
    assert many[2] - many[1] < (few[2] - few[1]) / 5


def test_a_tag_is_right_missing_or_false_by_hand() -> None:
    truth = [[1, 0], [1, 1], [0, 1], [0, 0], [0, 0]]
    scores = [[2, 1], [-1, 3], [1, -2], [-1, -1], [0, -9]]
    found = tag_metrics(truth, scores, 0.0)
    assert found == pytest.approx(
        {"tag_accuracy": 2 / 3, "tag_coverage": 1.0, "tag_false_rate": 0.5}
    )
    shy = tag_metrics(truth, scores, 1.5)
    assert shy == pytest.approx(
        {"tag_accuracy": 2 / 3, "tag_coverage": 2 / 3, "tag_false_rate": 0.0}
    )
    assert np.isnan(tag_metrics([[1]], [[1]], 0.0)["tag_false_rate"])
