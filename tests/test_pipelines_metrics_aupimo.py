"""Temporal AUPIMO: its closed forms, what it depends on and what it does not."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from pipelines.metrics.aupimo import TooFewStepsError, temporal_aupimo

ALL = np.ones(4000, dtype=bool)


def normal(seed: int, mean: float = 0.0, videos: int = 40, steps: int = 1000) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).normal(mean, 1, (videos, steps)))


def test_scores_by_chance_give_the_mean_of_the_rates_themselves() -> None:
    forged = [(video, np.ones(1000, dtype=bool)) for video in normal(1, videos=200)]
    found = temporal_aupimo(normal(0, videos=100), forged)
    assert found.scores.mean() == pytest.approx((1e-2 - 1e-3) / np.log(10), rel=0.05)  # 3.909e-3
    assert found.missed == 1.0


def test_two_normal_distributions_give_the_integral_of_their_recall() -> None:
    forged = [(video, np.ones(1000, dtype=bool)) for video in normal(2, mean=2.0)]
    found = temporal_aupimo(normal(0, videos=200), forged)
    rates = np.geomspace(1e-3, 1e-2, 2000)
    gauss = NormalDist()
    recall = [1 - gauss.cdf(gauss.inv_cdf(1 - rate) - 2) for rate in rates]
    assert np.mean(recall) == pytest.approx(0.2401, abs=1e-3)  # published check
    assert found.scores.mean() == pytest.approx(np.mean(recall), abs=0.01)


def test_perfect_separation_is_one_and_its_opposite_nothing() -> None:
    real = normal(0)
    forged = [(np.full(10, 9.0), ALL[:10]), (np.full(10, -9.0), ALL[:10])]
    assert temporal_aupimo(real, forged).scores.tolist() == [1.0, 0.0]


def test_only_the_forged_steps_of_a_forged_video_count() -> None:
    mask = np.arange(1000) < 100
    found = temporal_aupimo(
        normal(0), [(np.where(mask, 9.0, 8.0), mask), (np.where(mask, -9, 9), mask)]
    )
    assert found.scores.tolist() == [1.0, 0.0]


def test_increasing_changes_of_the_scores_and_other_forged_videos_change_nothing() -> None:
    real, forged = normal(0), [(video, ALL[:1000]) for video in normal(3, mean=1.5, videos=5)]
    before = temporal_aupimo(real, forged).scores
    bent = temporal_aupimo([np.exp(v) for v in real], [(np.exp(v), m) for v, m in forged]).scores
    assert bent == pytest.approx(before, abs=1e-12)
    assert temporal_aupimo(real, forged[1:]).scores.tolist() == before[1:].tolist()
    assert not np.allclose(before, before[0])


def test_a_long_real_video_counts_as_much_as_a_short_one() -> None:
    noisy, quiet = np.linspace(5, 6, 10_000), np.linspace(0, 1, 100)
    halves = temporal_aupimo([noisy, quiet], [(np.array([5.5]), ALL[:1])], (1e-3, 0.4))
    # the noisy video has half the weight: 5.5 is passed at a rate of a quarter
    expected = np.log(0.4 / 0.25) / np.log(0.4 / 1e-3)
    assert halves.scores[0] == pytest.approx(expected, abs=2e-3)


def test_too_few_real_steps_are_refused() -> None:
    with pytest.raises(TooFewStepsError, match=r"9000 real steps .* it takes 10000"):
        temporal_aupimo(normal(0, videos=9), [(np.zeros(3), ALL[:3])])
    with pytest.raises(TooFewStepsError, match="distinct scores"):
        temporal_aupimo([np.zeros(20_000)], [(np.zeros(3), ALL[:3])])
    with pytest.raises(ValueError, match="lower < upper"):
        temporal_aupimo(normal(0), [(np.zeros(3), ALL[:3])], (0.1, 0.01))
    with pytest.raises(ValueError, match="with a forged step"):
        temporal_aupimo(normal(0), [(np.zeros(3), ~ALL[:3])])


def test_the_authors_scorer_gives_the_same() -> None:
    functional = pytest.importorskip("anomalib.metrics.pimo.functional")
    import torch

    real, forged = normal(0, videos=20), normal(3, mean=1.5, videos=5)
    maps = torch.from_numpy(np.stack([*real, *forged])[:, None]).float()
    masks = torch.zeros_like(maps, dtype=torch.bool)
    masks[20:, :, 300:700] = True
    theirs = functional.aupimo_scores(maps, masks, 30_000, (1e-3, 1e-1))[4][20:].numpy()
    pairs = [(video, mask[0].numpy()) for video, mask in zip(forged, masks[20:], strict=True)]
    ours = temporal_aupimo(real, pairs, (1e-3, 1e-1))
    assert ours.scores == pytest.approx(theirs, abs=1e-3)  # they take thresholds from a grid
