"""Targets of boundaries and intervals by hand, and losses that balance."""

from __future__ import annotations

import math

import pytest
import torch

from temporal.zoo.boundary_losses import balanced_entropy, balanced_square, targets_of_runs


def test_boundaries_and_overlaps_of_a_run_are_known_by_hand() -> None:
    forged = torch.zeros(2, 20, dtype=torch.bool)
    forged[0, 4:8] = True
    truth = targets_of_runs(forged, 20)
    # a tenth of four steps is less than half a step to each side: [3.5, 4.5) and [7.5, 8.5)
    assert torch.nonzero(truth.start[0])[:, 0].tolist() == [3, 4]
    assert truth.start[0, 3:5].tolist() == [0.5, 0.5]
    assert torch.nonzero(truth.end[0])[:, 0].tolist() == [7, 8]
    assert float(truth.overlap[0, 4, 7]) == 1.0
    assert float(truth.overlap[0, 4, 5]) == 0.5  # [4, 6) of [4, 8)
    assert float(truth.overlap[0, 6, 9]) == pytest.approx(2 / 6)
    assert float(truth.overlap[0, 9, 12]) == 0.0
    assert float(truth.overlap[0].tril(-1).abs().sum()) == 0.0
    for nothing in (truth.start[1], truth.end[1], truth.overlap[1]):
        assert float(nothing.abs().sum()) == 0.0


def test_of_two_runs_an_interval_overlaps_with_the_better_and_long_ones_reach_further() -> None:
    forged = torch.zeros(1, 60, dtype=torch.bool)
    forged[0, 0:10] = forged[0, 20:60] = True
    truth = targets_of_runs(forged, 30)  # two steps are one
    assert float(truth.overlap[0, 0, 4]) == 1.0
    assert float(truth.overlap[0, 10, 29]) == 1.0
    assert float(truth.overlap[0, 10, 19]) == 0.5
    assert truth.start[0, 7:13].tolist() == [0, 1, 1, 1, 1, 0]  # a tenth of 20 steps: [8, 12)


def test_where_nothing_is_known_the_balanced_entropy_is_that_of_a_coin() -> None:
    positive, every = torch.rand(4, 50) < 0.1, torch.ones(4, 50, dtype=torch.bool)
    assert float(balanced_entropy(torch.zeros(4, 50), positive, every)) == pytest.approx(
        math.log(2)
    )
    logits = torch.where(positive, 2.0, -1.0)
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2
    assert float(balanced_entropy(logits, positive, every)) == pytest.approx(expected)
    half = every.clone()
    half[2:] = False
    logits[2:] = 77.0  # which nobody asks
    assert float(balanced_entropy(logits, positive, half)) == pytest.approx(expected)
    none = balanced_entropy(torch.zeros(4, 50), torch.zeros_like(positive), every)
    assert float(none) == pytest.approx(math.log(2) / 2)


def test_many_bad_intervals_weigh_no_more_than_the_few_good_ones() -> None:
    overlap = torch.zeros(1, 100, 100)
    overlap[0, :10, 0] = 0.9
    overlap[0, :40, 1] = 0.5
    found, valid = torch.zeros_like(overlap), torch.ones_like(overlap, dtype=torch.bool)
    losses = torch.stack([balanced_square(found, overlap, valid) for _ in range(200)])
    # a third each of 0.81, 0.25 and 0
    assert float(losses.mean()) == pytest.approx((0.81 + 0.25) / 3, abs=0.03)
    assert float(balanced_square(overlap, overlap, valid)) == 0.0
    assert float(balanced_square(found + 1, torch.zeros_like(overlap), valid)) == 0.0
