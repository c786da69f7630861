"""Sampling errors: published numbers, the score test that the interval inverts, and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from extractors.errors import InputError
from pipelines.metrics.classification import auc
from pipelines.metrics.sampling_error import auc_error, wilson_interval


def test_fifty_clips_leave_gaps_of_fifteen_points_open_and_five_hundred_do_not() -> None:
    assert wilson_interval(45, 50) == pytest.approx((0.786, 0.957), abs=5e-4)
    assert wilson_interval(450, 500) == pytest.approx((0.871, 0.923), abs=5e-4)


def test_no_false_alarm_in_few_clips_is_no_proof_of_none() -> None:
    low, high = wilson_interval(0, 20)
    assert low == 0.0
    assert high == pytest.approx(1.959964**2 / (20 + 1.959964**2))
    assert wilson_interval(20, 20)[1] == 1.0


def test_the_bounds_are_the_shares_at_which_the_score_test_is_just_significant() -> None:
    for hits, trials in ((3, 17), (45, 50), (90, 400)):
        for bound in wilson_interval(hits, trials):
            score = (hits / trials - bound) / np.sqrt(bound * (1 - bound) / trials)
            assert abs(score) == pytest.approx(1.959964, abs=1e-5)


def test_the_error_of_an_auc_is_the_published_one_and_that_of_exponential_scores() -> None:
    assert auc_error(0.9, 50, 50) == pytest.approx(0.032, abs=5e-4)
    generator, labels = np.random.default_rng(0), np.repeat([0.0, 1.0], [50, 50])
    areas = [  # rates of 1 and 1 / 9: the AUC is 0.9
        auc(labels, np.append(generator.exponential(1, 50), generator.exponential(9, 50)))
        for _ in range(2000)
    ]
    assert np.mean(areas) == pytest.approx(0.9, abs=0.003)
    assert np.std(areas) == pytest.approx(auc_error(0.9, 50, 50), rel=0.05)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(InputError, match="as many hits at most"):
        wilson_interval(5, 4)
    with pytest.raises(InputError, match="clips of both classes"):
        auc_error(0.9, 0, 4)
