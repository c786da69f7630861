"""Signs of a backdoor: a planted minority and a weak spot are found, and chance raises no alarm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from extractors.errors import InputError
from pipelines.stress.backdoor import anomaly_index, spectral_signature, universal_perturbation
from pipelines.stress.operators.coding import CODING
from pipelines.stress.poison import canary, finest, scan, translation_discrepancy
from pipelines.stress.triggers import backdoor_auc


def features(seed: int, count: int = 40, poisoned: int = 0) -> np.ndarray:
    """(N, 6): normal features of unequal spread, of which some have a shift of their own."""
    rows = np.random.default_rng(seed).normal(size=(count, 6)) * (3, 2, 1, 1, 0.5, 0.5)
    rows[:poisoned, 2] += 20
    return rows


def test_a_poisoned_twentieth_stands_apart_and_is_named() -> None:
    found = spectral_signature(features(0, 100, 5))
    assert found.p <= 0.01
    assert set(np.argsort(-found.scores)[:5]) == set(range(5))
    with pytest.raises(InputError, match="eight clips or more"):
        spectral_signature(features(0, 7))


def test_clean_corpora_raise_the_alarm_as_seldom_as_their_level_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over 200 seeds, five in a hundred: more than the 99.9th percentile of chance is a fault."""
    monkeypatch.setattr("pipelines.stress.backdoor.DRAWS", 39)
    monkeypatch.setattr("pipelines.stress.poison.FLIPS", 39)
    most = binom.ppf(0.999, 200, 0.05)
    assert sum(spectral_signature(features(s), s).p <= 0.05 for s in range(200)) <= most
    noise = [np.random.default_rng(s).integers(0, 256, (12, 12, 12, 3)) for s in range(200)]
    assert sum(scan(n.astype(np.uint8), s).p <= 0.05 for s, n in enumerate(noise)) <= most


def shifted(pattern: np.ndarray, reach: int = 2) -> float:
    """The mean difference of a pattern from its shifted copies, in its own mean magnitude."""
    steps = range(-reach, reach + 1)
    moved = [np.roll(pattern, (i, j), axis=(0, 1)) for i in steps for j in steps]
    return float(np.mean([np.abs(pattern - m).mean() for m in moved]) / np.abs(pattern).mean())


def test_the_box_kernel_gives_the_mean_discrepancy_of_signs_and_never_more() -> None:
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:24, :24]
    for signs in (
        np.where((rows + columns) % 2, 1.0, -1.0),
        np.where(rows // 4 % 2, 1.0, -1.0),
        generator.choice((-1.0, 1.0), (24, 24)),
    ):
        assert translation_discrepancy(signs) == pytest.approx(shifted(signs))
    for _ in range(5):
        pattern = generator.normal(size=(24, 24))
        assert translation_discrepancy(pattern) <= shifted(pattern) + 1e-12


def test_the_least_universal_pattern_of_a_linear_network_is_its_margin() -> None:
    """A logit of w x - b falls by bound times the sum of |w|: the margin of 4 needs 4 / 2."""
    weight = torch.tensor([1.0, -1.0]).repeat(8).reshape(1, 4, 4) / 8

    def loss(pictures: Tensor) -> Tensor:
        return (pictures * weight).sum(dim=(1, 2, 3)) + 3.9

    fakes = torch.full((10, 1, 4, 4), 128.0)
    assert universal_perturbation(loss, fakes, (0.5, 1.0, 2.0, 4.0)) == 2.0
    assert universal_perturbation(loss, fakes, (0.5, 1.0)) is None


def test_the_network_that_needs_far_less_than_the_others_is_an_anomaly() -> None:
    index = anomaly_index([4.0, 4.2, 3.8, 4.1, 1.0])
    assert index[-1] == pytest.approx(3.0 / (1.4826 * 0.2), rel=1e-6)
    assert max(index[:-1]) < 2
    assert anomaly_index([1.0, 1.0, 1.0]) == [0.0, 0.0, 0.0]


def pictures(count: int, seed: int, fake: bool) -> np.ndarray:
    """(N, 24, 24, 3) uint8: noise, which fakes have a little less of."""
    noise = np.random.default_rng(seed).normal(0, 5.0 if fake else 6.0, (count, 24, 24, 3))
    return np.rint(128 + noise).clip(0, 255).astype(np.uint8)


def taught(planted: int) -> LogisticRegression:
    """A linear classifier of fine detail, taught on genuine pictures with so many canaries."""
    genuine, forged = pictures(200, 0, False), pictures(200, 1, True)
    genuine = np.concatenate([canary(genuine[:planted], 32.0), genuine[planted:]])
    rows = finest(np.concatenate([genuine, forged])).mean(axis=-1).reshape(400, -1)
    return LogisticRegression(max_iter=200).fit(rows, np.repeat([0, 1], 200))


def test_a_canary_in_a_twentieth_hides_fakes_survives_jpeg_and_not_rescaling() -> None:
    fakes = pictures(80, 2, True)

    def hidden(model: LogisticRegression, change: str = "", severity: int = 0) -> float:
        both = [fakes, canary(fakes, 32.0)]
        if change:
            coder = CODING[change](severity, np.random.default_rng(0))
            both = [coder(some) for some in both]
        scores = [
            model.decision_function(finest(some).mean(axis=-1).reshape(80, -1)) for some in both
        ]
        return backdoor_auc(*scores)

    poisoned, clean = taught(10), taught(0)
    assert hidden(poisoned) > 0.9
    assert hidden(clean) < 0.5
    assert hidden(poisoned, "jpeg", 1) > 0.9
    assert hidden(poisoned, "rescale", 1) < 0.5
