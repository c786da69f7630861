"""Heads on clip vectors: closed forms of the vector and of the loss, and what may not change."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from fusion.heads.closed import (
    FamilyHead,
    LaunderingHead,
    TypeHead,
    best_threshold,
    clip_vector,
    mean_proxy,
    proxy_anchor,
)

NAN = float("nan")


def test_a_clip_vector_is_means_deviations_and_peaks_and_zero_where_nothing_was_judged() -> None:
    tokens = torch.tensor([[[1.0], [NAN]], [[3.0], [NAN]]])  # two steps, two experts, one number
    opinions = torch.cat([torch.zeros(75), torch.full((25,), 4.0)])[:, None]
    opinions = torch.cat([opinions, torch.full_like(opinions, NAN)], dim=1)
    vector = clip_vector(tokens, opinions[:2])
    assert vector.tolist() == [2.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert clip_vector(torch.zeros(100, 2, 1), opinions)[4:].tolist() == [1.0, 0.0, 4.0, 0.0]


def test_the_proxy_anchor_loss_is_its_formula() -> None:
    cosines = torch.tensor([[0.7, -0.2], [0.3, 0.4]])
    targets = torch.tensor([[1.0, 0.0], [0.0, 0.0]])  # the second clip is genuine: of no family
    pull = math.log(1 + math.exp(-32 * (0.7 - 0.1)))
    first = math.log(1 + math.exp(32 * (0.3 + 0.1)))
    second = math.log(1 + math.exp(32 * (-0.2 + 0.1)) + math.exp(32 * (0.4 + 0.1)))
    assert float(proxy_anchor(cosines, targets)) == pytest.approx(pull + (first + second) / 2)


def test_the_proxy_anchor_loss_is_never_negative_and_vanishes_where_all_is_right() -> None:
    targets = functional.one_hot(torch.arange(12) % 3).float()
    assert float(proxy_anchor(torch.rand(12, 3) * 2 - 1, targets)) > 0
    assert float(proxy_anchor(2 * targets - 1, targets)) < 1e-9


def test_a_family_head_learns_families_and_keeps_the_genuine_away() -> None:
    middles = 3 * torch.randn(4, 20)
    which = torch.arange(400) % 4
    vectors = middles[which] + torch.randn(400, 20)
    targets = functional.one_hot(which)[:, :3].float()  # the fourth kind is genuine
    head = FamilyHead(20, 3, dim=8)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    for _ in range(60):
        loss = head.loss(vectors[:200], targets[:200])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    head.eval()
    head.settle(vectors[:200], targets[:200])
    with torch.no_grad():
        cosines = head(vectors[200:])
    known = which[200:] < 3
    assert (cosines.argmax(dim=1) == which[200:])[known].float().mean() > 0.95
    near = cosines.amax(dim=1) >= head.threshold
    assert 0.8 < near[known].float().mean() <= 1.0
    assert near[~known].float().mean() < 0.1


def test_no_single_number_decides_how_alike_clips_are() -> None:
    head = FamilyHead(4, 2).eval()
    wild = torch.tensor([[1.0, 0.0, 0.0, 1e6], [1.0, 0.0, 0.0, 5.0]])
    torch.testing.assert_close(*head.describe(wild).split(1))
    assert head.describe(torch.randn(3, 4)).norm(dim=1).tolist() == pytest.approx([1.0] * 3)


def test_the_best_threshold_keeps_ones_own_and_refuses_others() -> None:
    cosines = torch.tensor([0.9, 0.8, 0.7, 0.2, 0.6, 0.1])
    own = torch.tensor([True, True, True, True, False, False])
    assert float(best_threshold(cosines, own)) == pytest.approx(0.7)


def test_more_clips_make_a_better_proxy() -> None:
    middles = functional.normalize(torch.randn(8, 16), dim=-1)
    which = torch.arange(8).repeat_interleave(60)
    clips = functional.normalize(middles[which] + 0.5 * torch.randn(480, 16), dim=-1).view(
        8, 60, 16
    )
    right = []
    for shots in (1, 3, 10):
        proxies = torch.stack([mean_proxy(mine[:shots]) for mine in clips])
        found = (clips[:, 10:] @ proxies.T).argmax(dim=-1)
        right.append(float((found == torch.arange(8)[:, None]).float().mean()))
    assert right[0] < right[1] < right[2]


def test_the_thresholds_of_types_are_where_f1_is_best() -> None:
    head = TypeHead(2, 2, hidden=4).eval()
    vectors, logits = torch.randn(4, 2), torch.tensor([[0.1], [0.5], [0.9], [-3.0]])
    head.forward = lambda given: logits.expand(4, 2)  # type: ignore[method-assign]
    head.settle(vectors, torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    assert head.thresholds.tolist() == pytest.approx([0.5, -3.0])  # F1 of 1 and of 6 / 7


def test_types_are_learned_each_by_itself() -> None:
    vectors = torch.randn(600, 10)
    targets = (vectors[:, :2] > 0).float()
    head = TypeHead(10, 2, hidden=16)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(80):
        loss = head.loss(vectors[:300], targets[:300])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        said = head.eval()(vectors[300:]) > 0
    assert (said == (targets[300:] > 0)).float().mean() > 0.9


def test_nothing_is_asked_of_the_second_stage_where_the_first_says_real() -> None:
    head = LaunderingHead(2, 2).eval()
    logits = torch.tensor([[-1.0, 5.0], [1.0, -1.0], [1.0, 2.0], [-1.0, -5.0]])
    head.forward = lambda given: logits  # type: ignore[method-assign]
    assert head.classes(torch.zeros(4, 2)).tolist() == [0, 1, 2, 0]
    with pytest.raises(ValueError, match="got 3 labels"):
        LaunderingHead(2, 3)


def test_the_second_stage_learns_from_forged_clips_alone() -> None:
    head = LaunderingHead(2, 2).eval()
    logits = torch.tensor([[0.3, 0.7], [0.2, -0.4], [-0.5, 9.0]])
    head.forward = lambda given: logits  # type: ignore[method-assign]
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    cost = [math.log(1 + math.exp(x)) for x in (-0.3, -0.2, -0.5, 0.7, 0.4)]
    expected = sum(cost[:3]) / 3 + sum(cost[3:]) / 2
    assert float(head.loss(torch.zeros(3, 2), targets)) == pytest.approx(expected, rel=1e-5)


def test_a_bias_of_the_logits_moves_the_thresholds_and_no_verdict() -> None:
    # as the mean of the highest patches has it, which lies above 0 where nothing is to be found
    vectors = torch.randn(60, 2)
    targets = torch.stack([(vectors[:, 0] > 0.3) & (vectors[:, 1] <= 0), (vectors > 0.3).all(1)], 1)
    said = []
    for bias in (0.0, 0.4237):
        head = LaunderingHead(2, 2).eval()
        head.forward = lambda given, bias=bias: given + bias  # type: ignore[method-assign]
        head.settle(vectors, targets.float())
        said.append(head.classes(vectors))
    assert torch.equal(*said)
    assert len(said[0].unique()) == 3
