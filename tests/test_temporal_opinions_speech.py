"""The judge of speech: mean and spread of tokens, and the direction that tells classes apart."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipelines.metrics.classification import auc
from temporal.opinions.speech import SpeechOpinion, variation

REACH = 100


def test_mean_and_spread_are_those_of_the_steps_that_count() -> None:
    tokens = torch.randn(2, 2 * REACH, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 2 * REACH, dtype=torch.bool)
    mask[1, 40:] = False
    found = variation(tokens, mask, REACH)
    assert found.shape == (2, 2 * REACH, 6)
    middle = tokens[0, :-1].double()  # step REACH - 2 sees all but the last
    expected = torch.cat([middle.mean(dim=0), middle.std(dim=0, correction=0)])
    torch.testing.assert_close(found[0, REACH - 2].double(), expected, rtol=1e-4, atol=1e-4)
    heard = tokens[1, :40].double()
    expected = torch.cat([heard.mean(dim=0), heard.std(dim=0, correction=0)])
    torch.testing.assert_close(found[1, 20].double(), expected, rtol=1e-4, atol=1e-4)


def test_what_lies_outside_the_mask_does_not_count() -> None:
    tokens = torch.randn(1, 60, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(60)[None] < 45
    changed = tokens.clone()
    changed[:, 45:] = 1e3
    assert torch.equal(
        variation(tokens, mask, REACH)[:, :45], variation(changed, mask, REACH)[:, :45]
    )


def planted(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return features (N, 6) and labels: number 0 tells classes apart by less than clips differ."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.arange(count) % 2).float()
    found = torch.randn(count, 6, generator=generator) * torch.tensor([1, 1, 1, 0.1, 1, 1.0])
    found[:, 1] = found[:, 0]  # what clips differ by, seen twice
    found[:, 0] += 0.6 * labels
    return found, labels


def test_what_clips_of_a_class_differ_by_is_taken_away() -> None:
    judge = SpeechOpinion(3, REACH)
    judge.fit(*planted(2000, 1), torch.ones(2000))
    found, labels = planted(2000, 2)
    alone = auc(labels.numpy(), found[:, 0].numpy())
    judged = auc(labels.numpy(), (found @ judge.rule + judge.bias).numpy())
    assert judged > alone + 0.05
    assert float(judge.rule[0]) > 0
    assert float(judge.rule[1]) < 0


def test_classes_of_any_size_meet_at_even_odds() -> None:
    found, labels = planted(1000, 3)
    some = (labels == 0) | (torch.arange(1000) % 10 == 1)  # a tenth of the fakes
    judge = SpeechOpinion(3, REACH)
    judge.fit(found[some], labels[some], torch.ones(int(some.sum())))
    logits = found[some] @ judge.rule + judge.bias
    means = [float(logits[labels[some] == label].mean()) for label in (0, 1)]
    assert means[0] == pytest.approx(-means[1], abs=1e-4)
    assert means[1] > 0


def test_a_judge_that_learned_nothing_says_nothing() -> None:
    judge = SpeechOpinion(3, REACH)
    mask = torch.ones(1, 30, dtype=torch.bool)
    assert not judge(torch.randn(1, 30, 3), mask).any()
    assert not list(judge.parameters())


def test_of_one_clip_a_class_nothing_is_learned() -> None:
    judge = SpeechOpinion(3, REACH)
    judge.fit(torch.eye(6)[:2], torch.tensor([0.0, 1.0]), torch.ones(2))
    assert not judge.rule.any()
    assert not judge.bias.any()
