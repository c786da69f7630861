"""Security probes: each has a closed form, and its search finds what the form says."""

from __future__ import annotations

from math import erf, sqrt
from statistics import NormalDist

import numpy as np
import pytest
import torch

from pipelines.metrics.security import MOST_GREAT, great_clips, great_score, noise_ceiling, pgd
from pipelines.stress.noise import separation

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


def test_a_linear_detector_reaches_the_ceiling_of_noise() -> None:
    weights = torch.linspace(-1, 1, 300)
    x = torch.linspace(0, 1, 300)
    areas = separation(lambda v: weights @ v, x, 0.1, (0.5, 1.0, 2.0), draws=1500)
    ceilings = [noise_ceiling(ratio, 1.0).auc for ratio in (0.5, 1.0, 2.0)]
    assert areas == pytest.approx(ceilings, abs=0.03)


def test_a_detector_that_bends_stays_below_the_ceiling_of_noise() -> None:
    areas = separation(lambda v: torch.sin(40 * v).sum(), torch.zeros(300), 0.1, (2.0,), 300)
    assert areas[0] < noise_ceiling(2.0, 1.0).auc - 0.2
