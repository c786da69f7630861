"""From many logits to one."""

from __future__ import annotations

import math

import pytest
import torch

from pipelines.detection.pooling import any_logit, clip_means, clip_peaks


def probability(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


@pytest.mark.parametrize("logits", [(0.3,), (-1.0, 2.0), (0.0, 0.0, 0.0)])
def test_any_of_several_independent_events_is_a_noisy_or(logits: tuple[float, ...]) -> None:
    none = math.prod(1 - probability(x) for x in logits)
    joined = float(any_logit(torch.tensor(logits).double()))
    assert probability(joined) == pytest.approx(1 - none, abs=1e-7)


def test_events_that_were_not_judged_are_left_out() -> None:
    logits = torch.tensor([[1.5, math.nan], [math.nan, math.nan]])
    joined = any_logit(logits)
    assert float(joined[0]) == pytest.approx(1.5, abs=1e-5)
    assert bool(joined[1].isnan())


def test_an_event_that_is_all_but_impossible_changes_nothing() -> None:
    assert float(any_logit(torch.tensor([0.7, -50.0]))) == pytest.approx(0.7, abs=1e-5)


def test_means_and_peaks_are_those_of_the_steps_in_the_mask() -> None:
    opinions = torch.tensor([[1.0, 5.0, 3.0, 100.0]])[..., None]
    mask = torch.tensor([[True, True, True, False]])
    assert float(clip_means(opinions, mask)) == pytest.approx(3.0)
    assert float(clip_peaks(opinions, mask, 2)) == pytest.approx(4.0)
