"""Security probes: each has a closed form, and its search finds what the form says."""

from __future__ import annotations

from math import erf, sqrt
from statistics import NormalDist

import cv2
import numpy as np
import pytest
import torch

from pipelines.poison_scan import backdoor_auc, canary, scan, translation_discrepancy
from pipelines.probes import MOST_GREAT, great_clips, great_score, noise_ceiling, pgd

GAUSS = NormalDist()


def test_an_attack_on_a_linear_loss_goes_to_the_corner_of_the_box() -> None:
    weights = torch.tensor([1.0, -2.0, 0.5])
    x = torch.tensor([0.5, 0.5, 0.99])
    found, history = pgd(lambda v: weights @ v, x, 0.1, steps=6, bounds=(0.0, 1.0))
    assert found == pytest.approx(torch.tensor([0.6, 0.4, 1.0]))
    assert history[-1] == pytest.approx(float(weights @ found))
    first, _ = pgd(lambda v: weights @ v, x, 0.1, steps=1)
    assert torch.equal((first - x).sign(), weights.sign())


def test_an_attack_never_gets_worse_and_stays_within_its_bound() -> None:
    x = torch.linspace(-2, 2, 50)
    found, history = pgd(lambda v: torch.sin(7 * v).sum(), x, 0.3, steps=20)
    assert history == sorted(history)
    assert history[-1] > history[0]
    assert (found - x).abs().max() <= 0.3 + 1e-6
    same, history = pgd(lambda v: v.sum(), x, 0.0)
    assert torch.equal(same, x)
    assert len(history) == 1


def test_great_scores_are_distances_of_a_smoothed_classifier() -> None:
    for distance in (0.0, 0.3, 1.0, 2.5):
        probability = GAUSS.cdf(distance)  # of 1[wx > 0] smoothed with unit noise
        score = great_score([1], [probability]).score
        assert score <= distance + 1e-12  # a bound, and not more
        if distance == 1.0:
            assert score == pytest.approx(0.856, abs=1e-3)
    assert great_score([0, 1], [0.0, 1.0]).score == pytest.approx(MOST_GREAT)
    assert great_score([1, 0], [0.3, 0.9]).score == 0.0  # both misjudged
    margins = np.random.default_rng(0).normal(1, 1, 200_000)
    assert great_score(np.ones(200_000), [GAUSS.cdf(t) for t in margins[:200_000]]).score == (
        pytest.approx(0.7244, abs=5e-3)
    )


def test_the_number_of_clips_of_a_great_score() -> None:
    assert great_clips(0.05, 0.05) == 1159
    found = great_score(np.ones(1159), np.full(1159, 0.7))
    assert found.score - found.interval[0] == pytest.approx(0.05, abs=1e-4)
    with pytest.raises(ValueError, match="one clip or more"):
        great_score([], [])


@pytest.mark.parametrize(
    ("ratio", "variation", "auc", "bound"), [(1, 0.383, 0.760, 0.810), (2, 0.683, 0.921, 0.950)]
)
def test_the_ceiling_of_noise(ratio: float, variation: float, auc: float, bound: float) -> None:
    found = noise_ceiling(0.1 * ratio, 0.1)
    assert found.total_variation == pytest.approx(variation, abs=5e-4)
    assert found.auc == pytest.approx(auc, abs=5e-4)
    assert found.auc_bound == pytest.approx(bound, abs=5e-4)
    assert found.total_variation == pytest.approx(erf(ratio / 2 / sqrt(2)))
    assert noise_ceiling(0.0, 1.0).auc == noise_ceiling(0.0, 1.0).auc_bound == 0.5


def pictures(count: int, seed: int) -> np.ndarray:
    """(N, 32, 32, 3) uint8: pictures of their own content with fine noise."""
    rng = np.random.default_rng(seed)
    soft = [cv2.resize(rng.uniform(60, 190, (4, 4, 3)), (32, 32)) for _ in range(count)]
    return (
        np.rint(np.array(soft) + rng.normal(0, 4, (count, 32, 32, 3))).clip(0, 255).astype(np.uint8)
    )


def test_a_canary_in_the_pictures_raises_the_alarm_and_shows_its_pattern() -> None:
    some = pictures(120, 0)
    planted = canary(some[:12], strength=6.0)
    found = scan(np.concatenate([planted, some[12:]]))  # a tenth of them
    assert found.p <= 0.01
    assert found.energy > 1.2 * found.chance
    rows, columns = np.mgrid[:32, :32]
    checker = np.where((rows // 2 + columns // 2) % 2, 1.0, -1.0)
    middle = found.pattern.mean(axis=2)[3:-3, 3:-3].ravel()
    assert np.corrcoef(middle, checker[3:-3, 3:-3].ravel())[0, 1] > 0.5


def test_clean_pictures_seldom_raise_the_alarm() -> None:
    alarms = sum(scan(pictures(30, seed)).p <= 0.05 for seed in range(40))
    assert alarms <= 6  # two expected
    with pytest.raises(ValueError, match="two pictures or more"):
        scan(pictures(1, 0))


def test_patterns_that_shifts_change_most_stand_out() -> None:
    rows, columns = np.mgrid[:64, :64]
    checker = np.where((rows + columns) % 2, 1.0, -1.0)
    stripes = np.where(rows // 4 % 2, 1.0, -1.0)
    noise = np.random.default_rng(0).choice((-1.0, 1.0), (64, 64))
    wave = np.sin(2 * np.pi * rows / 64)
    values = [translation_discrepancy(p) for p in (checker, noise, stripes)]
    assert values == pytest.approx([0.96, 0.963, 0.60], abs=0.01)
    assert 0 < translation_discrepancy(wave) < 0.05
    assert translation_discrepancy(0 * wave) == 0


def test_backdoor_auc_is_one_where_every_trigger_passes() -> None:
    assert backdoor_auc(np.array([0.4, 0.6]), np.array([0.1, 0.2, 0.3])) == 1.0
    assert backdoor_auc(np.array([0.4, 0.6]), np.array([0.9])) == 0.0
    assert backdoor_auc(np.array([0.4, 0.6]), np.array([0.5])) == 0.5
