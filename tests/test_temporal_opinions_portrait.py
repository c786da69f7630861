"""The opinion on portraits learns from clips and pairs, and calibrates itself."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from temporal.opinions.paired import RIDGE
from temporal.opinions.portrait import PortraitOpinion

COUNT, WIDTH = 2, 8


def clips(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers (N, F * D) of clips, of which every other is fake: its first number is larger."""
    found = torch.randn(count, COUNT * WIDTH, generator=torch.Generator().manual_seed(seed))
    labels = (torch.arange(count) % 2).float()
    found[:, 0] += 1.5 * labels
    return found, labels


def test_the_rule_is_that_of_logistic_regression_on_standardised_numbers() -> None:
    found, labels = clips(200)
    opinion = PortraitOpinion(COUNT, WIDTH)
    opinion.fit(found, labels, torch.ones(200))
    x = ((found.double() - found.double().mean(0)) / found.double().std(0, correction=0)).numpy()
    # the mean loss plus RIDGE * F * |rule|^2 here is the summed loss plus |rule|^2 / 2C there
    strength = 1 / (2 * RIDGE * x.shape[1] * len(x))
    expected = LogisticRegression(C=strength, tol=1e-10, max_iter=5000).fit(x, labels.numpy())
    logits = torch.from_numpy(expected.decision_function(x)).float()
    assert torch.allclose(opinion.logits(found), logits, atol=0.02)


def test_pairs_teach_what_differs_where_sources_hide_it() -> None:
    # Genuine and forged clips of this source differ in nothing but their pairs' second number.
    source = 5 * torch.randn(60, 1, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(60, COUNT * WIDTH, generator=torch.Generator().manual_seed(2))
    genuine = noise.clone()
    genuine[:, 1] = source[:, 0]
    fake = noise.clone()
    fake[:, 1] = source[:, 0] + 0.5
    found = torch.cat([genuine, fake])
    labels = torch.cat([torch.zeros(60), torch.ones(60)])
    pairs = torch.stack([torch.arange(60, 120), torch.arange(60)], dim=1)
    without, within = PortraitOpinion(COUNT, WIDTH), PortraitOpinion(COUNT, WIDTH)
    without.fit(found, labels, torch.ones(120))
    within.fit_pairs(found, labels, torch.ones(120), pairs)
    gaps = [(o.logits(fake) - o.logits(genuine)).mean() for o in (without, within)]
    assert gaps[1] > 1.4 * gaps[0] > 0


def test_brightness_and_contrast_of_a_feature_say_nothing() -> None:
    opinion = PortraitOpinion(COUNT, WIDTH)
    opinion.fit(*clips(100), torch.ones(100))
    portrait = torch.randn(1, 3, COUNT, WIDTH)
    mask = torch.ones(1, 3, dtype=torch.bool)
    assert torch.allclose(opinion(portrait, mask), opinion(3 * portrait + 7, mask), atol=1e-4)


def test_a_mean_over_steps_has_the_mean_of_their_logits() -> None:
    opinion = PortraitOpinion(COUNT, WIDTH)
    opinion.fit(*clips(100), torch.ones(100))
    portrait, mask = torch.randn(1, 5, COUNT, WIDTH), torch.ones(1, 5, dtype=torch.bool)
    mean = opinion.describe(portrait, mask)[0].mean(dim=0)
    assert float(opinion.logits(mean)) == pytest.approx(
        float(opinion(portrait, mask).mean()), abs=1e-4
    )


def test_rescaled_logits_are_what_was_asked_for() -> None:
    opinion = PortraitOpinion(COUNT, WIDTH)
    found, labels = clips(50)
    opinion.fit(found, labels, torch.ones(50))
    before = opinion.logits(found)
    opinion.rescale(0.5, -1.0)
    assert torch.allclose(opinion.logits(found), 0.5 * before - 1, atol=1e-5)
