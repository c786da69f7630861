"""What own clips may change: a drawn shift is learned, and nothing else is."""

from __future__ import annotations

from math import log

import pytest
import torch
from torch import Tensor

from pipelines.adapt.clip_table import Calibration, ClipTable, WeightChange, all_logits
from pipelines.adapt.fit import STRENGTHS, Strength, fit, fit_change, lower_alarms
from pipelines.detection.opinions import ABSENT
from pipelines.metrics.classification import auc

CALIBRATION = Calibration((1.0, 1.0), (0.0, 0.0), log(2**0.5 - 1))
ALARM = 0.64
SIZE = 8


def faces(summed: Tensor, fake: Tensor, points: Tensor | None = None) -> ClipTable:
    """Clips of one face each, without sound."""
    count = len(summed)
    labels = torch.stack([fake.double(), torch.full((count,), -1.0).double(), fake.double()], dim=1)
    ones = torch.ones(count, dtype=torch.double)
    return ClipTable(
        labels=labels, known=ones, clip=torch.arange(count),
        column=torch.zeros(count, dtype=torch.long), summed=summed.double(), alone=ABSENT * ones,
        gain=ones, seen=ones,
        points=torch.zeros(count, SIZE).double() if points is None else points.double(),
    )  # fmt: skip


def drawn(count: int, seed: int) -> ClipTable:
    """Logits that know nothing of the fakes, and points of which the first number does.

    Points are as long as those of the reference: of mean square 1.
    """
    generator = torch.Generator().manual_seed(seed)
    fake = torch.arange(count) % 2
    points = torch.randn(count, SIZE, generator=generator) / SIZE**0.5
    points[:, 0] += torch.where(fake == 1, 1.0, -1.0)
    return faces(torch.randn(count, generator=generator), fake, points)


def test_after_a_drawn_shift_clips_held_out_are_judged_better() -> None:
    taught, held = drawn(24, 0), drawn(200, 1)
    fitted = fit(taught, list(range(24)), CALIBRATION, ALARM)
    assert fitted.strength == STRENGTHS[-1]
    areas = [
        auc(held.labels[:, 0].numpy(), all_logits(held, change, CALIBRATION)[:, 0].numpy())
        for change in (WeightChange.none(SIZE), fitted.change)
    ]
    assert areas[0] == pytest.approx(0.5, abs=0.1)
    assert areas[1] > 0.8


def test_the_rule_is_the_posterior_mode_of_a_logistic_regression_by_another_method() -> None:
    """Newton's method on the class-balanced likelihood and a Gaussian prior."""
    table, strength = drawn(30, 2), Strength(0.7, 0.4)
    x = torch.cat([0.7 * table.points, torch.full((30, 1), 0.4).double()], dim=1)
    y, w = table.labels[:, 0], torch.zeros(SIZE + 1, dtype=torch.double)
    for _ in range(50):
        p = (table.summed + x @ w).sigmoid()
        hessian = x.T @ (x * (p * (1 - p))[:, None]) + torch.eye(SIZE + 1).double()
        w -= torch.linalg.solve(hessian, x.T @ (p - y) + w)
    found = fit_change(table, CALIBRATION, strength)
    torch.testing.assert_close(found.rules[0], 0.7 * w[:-1], atol=1e-4, rtol=1e-3)
    assert float(found.shifts[0]) == pytest.approx(0.4 * float(w[-1]), abs=1e-4)
    assert not found.rules[1].any()
    assert float(found.shifts[1]) == 0.0


def test_where_new_clips_say_nothing_the_weights_stay_as_they_are() -> None:
    """Logits that are right already, and points that are noise."""
    kept = 0
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        fake = torch.arange(40) % 2
        logits = 6.0 * fake - 3.0 + torch.randn(40, generator=generator)
        table = faces(logits, fake, torch.randn(40, SIZE, generator=generator) / SIZE**0.5)
        fitted = fit(table, list(range(40)), CALIBRATION, ALARM)
        assert float(fitted.change.rules.norm()) < 0.3
        kept += not fitted.change.rules.any()
    assert kept >= 4


def test_one_class_alone_teaches_nothing() -> None:
    table = faces(torch.full((20,), 2.0), torch.zeros(20))
    fitted = fit(table, list(range(20)), CALIBRATION, ALARM)
    assert fitted.strength == STRENGTHS[0]
    assert not fitted.change.shifts.any()


def test_a_fake_of_which_nobody_says_what_was_forged_teaches_by_the_file() -> None:
    table = drawn(24, 3)
    table.labels[table.labels[:, 0] == 1, 0] = -1
    fitted = fit(table, list(range(24)), CALIBRATION, ALARM)
    assert float(fitted.change.rules[0, 0]) > 0.3


def test_the_clips_of_a_group_never_judge_each_other() -> None:
    """One group of each class: left-out folds lack a class, and show nothing worth believing."""
    table = drawn(24, 4)
    fitted = fit(table, table.labels[:, 0].long().tolist(), CALIBRATION, ALARM)
    assert fitted.strength == STRENGTHS[0]


def test_genuine_clips_alone_lower_the_alarms_to_what_is_allowed() -> None:
    generator = torch.Generator().manual_seed(0)
    table = faces(torch.randn(59, generator=generator), torch.zeros(59))
    change, bound = lower_alarms(table, CALIBRATION, ALARM, 0.05)
    called = all_logits(table, change, CALIBRATION)[:, 2].sigmoid() >= ALARM
    assert int(called.sum()) == 2  # of 60 with the next one, 3 are allowed
    assert bound == pytest.approx(0.05)
    assert float(change.shifts[0]) < 0.0
    assert float(change.shifts[1]) == 0.0
    fresh = faces(torch.randn(4000, generator=generator), torch.zeros(4000))
    rate = (all_logits(fresh, change, CALIBRATION)[:, 2].sigmoid() >= ALARM).double().mean()
    assert float(rate) < 0.08


def test_calm_recordings_are_no_reason_to_accuse_more() -> None:
    table = faces(torch.full((30,), -8.0), torch.zeros(30))
    change, _ = lower_alarms(table, CALIBRATION, ALARM, 0.05)
    assert not change.shifts.any()
