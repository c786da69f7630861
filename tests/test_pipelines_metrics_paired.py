"""Paired comparison: it tells detectors apart where their difference is more than chance."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.metrics.classification import auc
from pipelines.metrics.paired import paired_auc


def test_a_detector_is_not_better_than_itself() -> None:
    found = paired_auc([0, 0, 1, 1], [0.1, 0.6, 0.5, 0.9], [0.1, 0.6, 0.5, 0.9])
    assert (found["difference"], found["p"]) == (0.0, 1.0)
    assert found["verdict"] == "not distinguishable"


def test_variance_by_hand() -> None:
    # First: shares of the fakes 1/2 and 1, of the reals 1 and 1/2. Second: all shares are 1.
    found = paired_auc([0, 0, 1, 1], [0.1, 0.6, 0.5, 0.9], [0.1, 0.2, 0.8, 0.9])
    assert found["difference"] == pytest.approx(-0.25)
    error = np.sqrt(2 * 0.125 / 2)  # of each class: variance 1/8 over two clips
    low, high = found["difference_interval"]
    assert (high - low) / 2 == pytest.approx(1.959964 * error)
    assert found["p"] == pytest.approx(0.479500, abs=1e-5)  # of z = -0.7071


def test_variance_agrees_with_a_paired_bootstrap() -> None:
    generator = np.random.default_rng(3)
    labels = np.repeat([0, 1], 150)
    shared = generator.normal(labels, 1)
    first, second = (shared + generator.normal(0, 0.7, 300) for _ in range(2))
    found = paired_auc(labels, first, second)
    differences = []
    for _ in range(800):
        drawn = np.concatenate([generator.choice(150, 150), 150 + generator.choice(150, 150)])
        differences.append(auc(labels[drawn], first[drawn]) - auc(labels[drawn], second[drawn]))
    low, high = found["difference_interval"]
    assert (high - low) / 2 / 1.959964 == pytest.approx(np.std(differences), rel=0.1)


def test_equal_detectors_are_told_apart_only_as_often_as_chance_allows() -> None:
    generator = np.random.default_rng(4)
    labels = np.repeat([0, 1], 60)
    apart = 0
    for _ in range(300):
        shared = generator.normal(labels, 1)
        scores = [shared + generator.normal(0, 1, 120) for _ in range(2)]
        apart += paired_auc(labels, *scores)["verdict"] != "not distinguishable"
    assert 5 <= apart <= 27  # 15 expected


def test_a_better_detector_is_seen_from_both_sides() -> None:
    generator = np.random.default_rng(5)
    labels = np.repeat([0, 1], 200)
    good, bad = generator.normal(2 * labels, 1), generator.normal(0.5 * labels, 1)
    assert paired_auc(labels, good, bad)["verdict"] == "better"
    assert paired_auc(labels, bad, good)["verdict"] == "worse"
    with pytest.raises(ValueError, match="two or more real"):
        paired_auc([0, 1, 1], [0.1, 0.5, 0.6], [0.2, 0.4, 0.3])
