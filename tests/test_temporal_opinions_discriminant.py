"""The discriminant is Fisher's, and the moving mean is that of the steps that are there."""

from __future__ import annotations

import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from temporal.opinions.discriminant import Discriminant, around


def test_the_moving_mean_is_that_of_the_steps_there_are() -> None:
    x = torch.randn(2, 7, 3)
    found = around(x, 2)
    for step in range(7):
        assert torch.allclose(found[:, step], x[:, max(step - 2, 0) : step + 3].mean(dim=1))


def test_without_shrinkage_the_rule_is_that_of_another_library() -> None:
    labels = (torch.arange(400) % 2).long()
    mixed = torch.randn(400, 3) @ torch.tensor([[1.0, 0.5, 0], [0, 1, 0.3], [0, 0, 2]])
    found = mixed + labels[:, None] * torch.tensor([1.0, -0.5, 0.2])
    judge = Discriminant(3, shrinkage=0.0)
    judge.fit(found, labels, torch.ones(400))
    other = LinearDiscriminantAnalysis(solver="lsqr").fit(found.numpy(), labels.numpy())
    assert judge.rule.tolist() == pytest.approx(other.coef_[0].tolist(), rel=1e-3)
    assert float(judge.bias) == pytest.approx(float(other.intercept_[0]), rel=1e-3, abs=1e-3)


def test_clips_of_no_weight_teach_nothing() -> None:
    found, labels = torch.randn(60, 2), (torch.arange(60) % 2).long()
    weights = (torch.arange(60) < 40).float()
    misled = found.clone()
    misled[40:] += 100 * labels[40:, None]
    rules = []
    for given in (found, misled):
        judge = Discriminant(2, shrinkage=0.0)
        judge.fit(given, labels, weights)
        rules.append(judge.rule.clone())
    assert torch.allclose(rules[0], rules[1], atol=1e-4)
