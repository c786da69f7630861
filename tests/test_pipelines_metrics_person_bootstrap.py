"""Bootstrap over persons: the moments of the multinomial, and areas by another library."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipelines.metrics.person_bootstrap import (
    DRAWS,
    auc_draws,
    gap_draws,
    interval,
    person_draws,
)


def test_sums_over_drawn_persons_have_the_moments_of_the_multinomial() -> None:
    counts = np.random.default_rng(0).integers(0, 9, (40, 2, 4)).astype(float)
    drawn = person_draws(counts)
    assert drawn.shape == (DRAWS, 2, 4)
    spread = np.sqrt(40 * counts.var(axis=0))  # of a sum of 40 independent draws
    error = spread / np.sqrt(DRAWS)
    assert np.all(np.abs(drawn.mean(axis=0) - counts.sum(axis=0)) < 4 * error)
    assert drawn.std(axis=0) == pytest.approx(spread, rel=0.1)


def test_a_person_is_drawn_with_all_clips_and_in_all_groups() -> None:
    counts = np.array([[[1.0, 2.0]], [[10.0, 20.0]]])
    assert set(map(tuple, person_draws(counts)[:, 0])) == {(2, 4), (11, 22), (20, 40)}


def test_areas_are_those_of_another_library_for_the_clips_that_were_drawn() -> None:
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(12), 4)
    fake = np.tile([0.0, 1.0], 24)
    score = np.round(rng.normal(fake, 1.0), 1)  # with ties
    areas = auc_draws(fake, score, person, np.zeros(48, np.intp), [0], seed=3)
    again = np.random.default_rng(3)
    for draw in range(20):
        weight = again.multinomial(12, np.full(12, 1 / 12))[person]
        assert areas[draw, 0] == pytest.approx(roc_auc_score(fake, score, sample_weight=weight))


def test_draws_that_know_nothing_are_left_out_of_the_interval() -> None:
    values = np.concatenate([np.linspace(0, 1, 1001), np.full(500, np.nan)])
    assert interval(values) == pytest.approx((0.025, 0.975))
    assert gap_draws(np.array([[0.1, 0.4, 0.2], [0.5, 0.5, 0.5]])) == pytest.approx([0.3, 0.0])


def test_drawing_videos_in_place_of_their_persons_covers_the_truth_too_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fifteen videos each of 40 persons, some of whom are often accused; the truth is known."""
    monkeypatch.setattr("pipelines.metrics.person_bootstrap.DRAWS", 150)
    generator, truth = np.random.default_rng(0), 0.3 * 0.6 + 0.7 * 0.05
    corpora, covered = 50, np.zeros(2)
    for _ in range(corpora):
        rate = np.where(generator.random(40) < 0.3, 0.6, 0.05)
        alarms = (generator.random((40, 15)) < rate[:, None]).astype(float)
        videos = np.stack([np.ones_like(alarms), alarms], axis=-1)  # (40, 15, 2)
        for place, counts in enumerate((videos.sum(axis=1), videos.reshape(600, 2))):
            drawn = person_draws(counts[:, None])[:, 0]
            low, high = interval(drawn[:, 1] / drawn[:, 0])
            covered[place] += low <= truth <= high
    persons, videos_alone = covered / corpora
    assert persons >= 0.85
    assert videos_alone <= 0.7
