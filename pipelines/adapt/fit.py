"""The change of the weights that one's own clips ask for, and how much of it is believed.

The shipped weights are the prior: a change costs what it moves on the reference, and how strong the
prior is, or that nothing shall change, is chosen by folds of the clips that teach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipelines.adapt.clip_table import (
    FILE,
    Calibration,
    ClipTable,
    WeightChange,
    all_logits,
    file_logits,
    own_logits,
)
from pipelines.train.losses import UNKNOWN

FOLDS = 5  # of persons
FEWEST = 3  # clips of either class without which a label says nothing
BETTER = 1e-2  # nats a label by which a weaker prior has to be better
LOWEST = 12.0  # by how much shifts are lowered at most


@dataclass(frozen=True)
class Strength:
    """Standard deviations that the prior allows."""

    rule: float  # length of a rule's change, see `pipelines.adapt.reference`
    shift: float  # log odds


# As shipped; the calibration alone; the rules too. Of stronger changes of the rule (1.5 and 2) own
# clips would gain a little more, and others lose more.
STRENGTHS = (Strength(0, 0), Strength(0, 0.5), Strength(0.5, 0.5), Strength(1, 0.5))


@dataclass(frozen=True, eq=False)
class Fitted:
    """A change, the strength that was chosen, and each one's entropy by left-out folds."""

    change: WeightChange
    strength: Strength
    entropies: dict[Strength, float]  # nats a label
    lowered: float  # by which the shifts were lowered for the sake of genuine clips, log odds


def fit(table: ClipTable, groups: Sequence[int], calibration: Calibration, alarm: float) -> Fitted:
    """Return the change that fits the clips of a table best.

    Args:
        table: the clips that teach.
        groups: (C,) see `groups_of`; a group is in one fold.
        calibration: of the weights as they are.
        alarm: the score from which on a clip is called fake. If left-out folds call more genuine
            clips fake than before, the shifts are lowered until they do not.
    """
    folds = _folds(table, groups)
    left_out = {s: _left_out(table, folds, calibration, s) for s in STRENGTHS}
    entropies = {s: _mean_entropy(table, logits) for s, logits in left_out.items()}
    chosen = STRENGTHS[0]
    for strength in STRENGTHS[1:]:
        if entropies[strength] < entropies[chosen] - BETTER:
            chosen = strength
    change, lowered = fit_change(table, calibration, chosen), 0.0
    if chosen.shift:
        own = left_out[chosen][:, :FILE]
        before = _alarms(table, own_logits(table, _none(table), calibration), calibration, alarm)
        lowered = _lowering(table, own, calibration, alarm, before, (True, True))
        change = WeightChange(change.rules, change.shifts - lowered)
    return Fitted(change, chosen, entropies, lowered)


def fit_change(table: ClipTable, calibration: Calibration, strength: Strength) -> WeightChange:
    """Return the change of least class-balanced cross-entropy, and of little length."""
    size = table.points.shape[1]
    free = torch.zeros(2, size + 1, dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([free], max_iter=200, line_search_fn="strong_wolfe")

    def change() -> WeightChange:
        return WeightChange(strength.rule * free[:, :size], strength.shift * free[:, size])

    def closure() -> Tensor:
        optimizer.zero_grad()
        entropy, _ = _entropy(table, all_logits(table, change(), calibration))
        loss = entropy + free.square().sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    if strength.shift:
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    found = change()
    return WeightChange(found.rules.detach(), found.shifts.detach())


def lower_alarms(
    table: ClipTable, calibration: Calibration, alarm: float, rate: float
) -> tuple[WeightChange, float]:
    """Return the shifts, never above 0, by which genuine clips are called fake at a rate or less.

    Of n clips so many may lie above the alarm that one more clip like them does with a probability
    of at most `rate` (split conformal prediction); with fewer than 1 / rate - 1 clips none may.
    A track is lowered first for the alarms that it raises alone, then both together.

    Args:
        table: genuine clips.
        calibration: of the weights as they are.
        alarm: the score from which on a clip is called fake.
        rate: 0 to 1.

    Returns:
        the change, and the bound on that probability.
    """
    count = len(table.labels)
    rank = max(floor(rate * (count + 1) + 1e-9), 1)
    own, none = own_logits(table, _none(table), calibration), _none(table)
    shifts = torch.zeros(2, dtype=torch.double)
    for columns in ((True, False), (False, True), (True, True)):
        which = torch.tensor(columns)
        seen = own if all(columns) else torch.where(which, own, own.new_tensor(-50.0))
        by = _lowering(table, seen, calibration, alarm, rank - 1, columns)
        shifts -= by * which.double()
        own = own - by * which.double()
    return WeightChange(none.rules, shifts), rank / (count + 1)


def _none(table: ClipTable) -> WeightChange:
    return WeightChange.none(table.points.shape[1])


def _alarms(table: ClipTable, own: Tensor, calibration: Calibration, alarm: float) -> int:
    """Return how many genuine clips own logits (C, 2) call fake."""
    genuine = table.labels[:, FILE] == 0
    logits = file_logits(own, table.judged, calibration)
    return int((logits[genuine] >= log(alarm / (1 - alarm))).sum())


def _lowering(
    table: ClipTable,
    own: Tensor,
    calibration: Calibration,
    alarm: float,
    allowed: int,
    columns: tuple[bool, bool],
) -> float:
    """Return the least number to take from own logits (C, 2) for so few alarms as are allowed."""
    which = torch.tensor(columns).double()
    low, high = 0.0, LOWEST
    if _alarms(table, own, calibration, alarm) <= allowed:
        return 0.0
    for _ in range(40):
        middle = (low + high) / 2
        if _alarms(table, own - middle * which, calibration, alarm) > allowed:
            low = middle
        else:
            high = middle
    return high


def _mean_entropy(table: ClipTable, logits: Tensor) -> float:
    """Return the class-balanced cross-entropy of logits (C, 3), in nats a label."""
    total, count = _entropy(table, logits)
    return float(total) / max(count, 1)


def _entropy(table: ClipTable, logits: Tensor) -> tuple[Tensor, int]:
    """Return the class-balanced cross-entropy of logits (C, 3), in nats, and of how many labels.

    Picture and sound count where both classes of them are known. The file counts for fakes of which
    nobody says what was forged, beside all genuine clips.
    """
    judged = torch.cat([table.judged, table.judged.any(dim=1, keepdim=True)], dim=1)
    known = (table.labels != UNKNOWN) & judged
    told = (table.labels[:, :FILE] == 1).any(dim=1)
    known[:, FILE] &= ~told
    total, count = logits.new_zeros(()), 0
    for column in range(FILE + 1):
        labels = table.labels[known[:, column], column]
        fakes = int(labels.sum())
        if min(fakes, len(labels) - fakes) < FEWEST:
            continue
        weight = torch.where(labels == 1, 0.5 / fakes, 0.5 / (len(labels) - fakes))
        losses = functional.binary_cross_entropy_with_logits(
            logits[known[:, column], column], labels, reduction="none"
        )
        total, count = total + len(labels) * (weight * losses).sum(), count + len(labels)
    return total, count


def _folds(table: ClipTable, groups: Sequence[int]) -> Tensor:
    """Return the fold (C,) of each clip; groups of like shares of fakes are dealt out in turn."""
    shares = {
        g: float(table.labels[torch.tensor(groups) == g, FILE].mean()) for g in sorted(set(groups))
    }
    order = sorted(shares, key=lambda g: (shares[g], g))
    fold = {g: i % FOLDS for i, g in enumerate(order)}
    return torch.from_numpy(np.array([fold[g] for g in groups]))


def _left_out(
    table: ClipTable, folds: Tensor, calibration: Calibration, strength: Strength
) -> Tensor:
    """Return the logits (C, 3) of every clip by the change that the other folds ask for."""
    logits = all_logits(table, _none(table), calibration)
    for fold in range(FOLDS if strength.shift else 0):
        own = torch.nonzero(folds == fold)[:, 0]
        rest = torch.nonzero(folds != fold)[:, 0]
        if len(own) and len(rest):
            change = fit_change(table.rows(rest), calibration, strength)
            logits[own] = all_logits(table.rows(own), change, calibration)
    return logits
