"""The ranking of features: planted ones come in order, and chance comes in nowhere."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from pipelines.evidence.feature_ranking import is_strong, ranked, ranking_table, separation

Values = np.ndarray[Any, Any]


def drawn(seed: int, apart: float, clips: int) -> tuple[Values, Values]:
    """Values of genuine clips about 0 and of fakes about `apart`."""
    random = np.random.default_rng(seed)
    return random.normal(0, 1, clips), random.normal(apart, 1, clips)


def test_planted_features_come_in_the_order_of_their_separation() -> None:
    apart = {"weak": 0.3, "best": 3.0, "fair": 1.2, "nothing": 0.0, "good": 2.0, "turned": -0.8}
    found = {
        name: separation(drawn(2 * i, d, 600), drawn(2 * i + 1, d, 600), larger=d >= 0)
        for i, (name, d) in enumerate(apart.items())
    }
    assert ranked(found) == ["best", "good", "fair", "turned", "weak", "nothing"]
    for name, d in apart.items():
        known = NormalDist().cdf(abs(d) / 2)  # of the threshold half way between
        assert found[name]["balanced_accuracy"] == pytest.approx(known, abs=0.03)
    assert found["best"]["threshold"] == pytest.approx(1.5, abs=0.3)
    assert found["turned"]["threshold"] == pytest.approx(-0.4, abs=0.5)
    assert [name for name in found if is_strong(found[name])] == ["best", "fair", "good", "turned"]
    lines = ranking_table(found).splitlines()
    assert lines[2].startswith("| best |")
    assert lines[2].endswith("| yes |")
    assert lines[-1].endswith("| no |")


@pytest.mark.parametrize("clips", [20, 60])
def test_a_feature_of_chance_enters_with_at_most_one_seed_in_twenty(clips: int) -> None:
    entered = sum(
        is_strong(separation(drawn(2 * seed, 0, clips), drawn(2 * seed + 1, 0, clips), larger=True))
        for seed in range(1000)
    )
    assert entered <= 50


def test_the_interval_holds_the_true_accuracy_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        found = separation(drawn(5, 1.5, 20_000), drawn(seed, 1.5, 80), larger=True)
        low, high = found["balanced_accuracy_interval"]
        held += low <= NormalDist().cdf(0.75) <= high
    assert 0.90 <= held / 200 <= 0.99


def test_a_perfect_feature_has_no_doubt_left() -> None:
    clips = (np.arange(10.0), np.arange(20.0, 30.0))
    found = separation(clips, clips, larger=True)
    assert (found["threshold"], found["balanced_accuracy"]) == (20.0, 1.0)
    assert found["balanced_accuracy_interval"] == [1.0, 1.0]
