"""Contrast, matching and grounding: their closed forms, and what each is about."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from fusion.zoo.grounding import (
    LEAST_MOVE,
    GroundedFusion,
    contrastive,
    follow,
    known_loss,
    pristine,
    with_sound_shifted,
)
from pipelines.metrics.classification import auc


def unit(rows: int, width: int = 8) -> torch.Tensor:
    return functional.normalize(torch.randn(rows, width), dim=1)


def test_without_pristine_pairs_and_soft_targets_contrast_is_exactly_zero() -> None:
    none = contrastive(unit(4), unit(4), unit(4), torch.zeros(4, 4), 0.07, soft=0.0)
    assert float(none) == 0.0


def test_contrast_is_the_cross_entropy_of_the_true_pairs() -> None:
    query, keys = unit(5), unit(5)
    found = contrastive(query, keys, query, torch.eye(5), 0.07, soft=0.0)
    truth = functional.cross_entropy(query @ keys.T / 0.07, torch.arange(5))
    torch.testing.assert_close(found, truth)
    same = torch.ones(5, 8) / 8**0.5  # all alike: nobody can pick
    assert float(contrastive(same, same, same, torch.eye(5), 0.07, 0.0)) == pytest.approx(
        math.log(5)
    )


def test_with_soft_targets_alone_the_loss_is_least_where_fast_and_slow_agree() -> None:
    query, keys, none = unit(4), unit(6), torch.zeros(4, 6)
    agreed = contrastive(query, keys, query, none, 0.5, soft=1.0)
    entropy = torch.distributions.Categorical(logits=query @ keys.T / 0.5).entropy().mean()
    torch.testing.assert_close(agreed, entropy)
    assert float(contrastive(unit(4), keys, query, none, 0.5, soft=1.0)) > float(agreed)


def test_slow_weights_approach_resting_ones_geometrically() -> None:
    fast = nn.Linear(3, 3)
    slow = copy.deepcopy(fast)
    with torch.no_grad():
        slow.weight += 1.0
    for _ in range(100):
        follow(slow, fast)
    torch.testing.assert_close(slow.weight - fast.weight, torch.full((3, 3), 0.995**100))


def test_only_genuine_clips_that_are_known_to_be_in_sync_are_pairs() -> None:
    targets = torch.zeros(4, 6, 3)
    targets[1, 2, 1] = 1  # a forged step of sound
    targets[2, :, 2] = -1  # nobody knows whether it is in sync
    targets[3, :3, 2] = -1  # a pause
    assert pristine(targets).tolist() == [True, False, False, True]


def test_moved_sound_leaves_the_picture_and_lies_at_least_the_least_move_away() -> None:
    steps = torch.arange(24.0)[None, :, None, None].expand(3, -1, 2, 4).clone()
    for _ in range(20):
        made = with_sound_shifted(steps, [1])
        assert torch.equal(made[:, :, 0], steps[:, :, 0])
        shift = (made[:, 0, 1, 0] - 0) % 24
        assert bool(((shift >= LEAST_MOVE) & (shift <= 24 - LEAST_MOVE)).all())
    assert torch.equal(steps[0, :, 1, 0], torch.arange(24.0))


def test_grounding_is_the_cross_entropy_of_known_steps() -> None:
    logits, targets = torch.randn(2, 5, 3), torch.randint(0, 2, (2, 5, 3)).float()
    targets[0, 2:] = -1
    known = targets >= 0
    truth = functional.binary_cross_entropy_with_logits(logits[known], targets[known])
    torch.testing.assert_close(known_loss(logits, targets, torch.ones(2, 5, 1)), truth)
    assert float(known_loss(logits, -torch.ones(2, 5, 3), torch.ones(2, 5, 1))) == 0.0


def batch() -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    tokens = torch.randn(6, 24, 3, 8)
    tokens[4, :, 2] = torch.nan  # a clip without sound
    targets = torch.zeros(6, 24, 3)
    targets[3:] = 1
    return {"tokens": tokens}, targets, torch.ones(6, 24, dtype=torch.bool)


def part(contrast: float = 0.0, matching: float = 0.0, grounding: float = 0.0) -> GroundedFusion:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GroundedFusion([0, 1], [2], 8, contrast, matching, grounding).eval()


def test_the_losses_add_up_by_their_weights_and_leave_the_logits_alone() -> None:
    given = batch()
    plain, nothing = part().learn(*given)
    torch.testing.assert_close(plain, part()(given[0]))
    assert float(nothing) == 0.0
    torch.manual_seed(1)
    single = [part(**{name: 1.0}).learn(*given) for name in ("contrast", "matching", "grounding")]
    torch.manual_seed(1)
    together, loss = part(0.5, 2.0, 3.0).learn(*given)
    expected = 0.5 * single[0][1] + 2 * single[1][1] + 3 * single[2][1]
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(together, plain)


def test_each_loss_reaches_the_weights_that_it_is_to_teach() -> None:
    reached = {"contrast": "heads.0.weight", "matching": "match.weight", "grounding": "ground.bias"}
    for loss, name in reached.items():
        made = part(**{loss: 1.0})
        made.learn(*batch())[1].backward()
        gradients = {n: p.grad for n, p in made.named_parameters() if p.grad is not None}
        assert float(gradients[name].abs().sum()) > 0
        assert not {n for n in gradients if n.startswith("slow")}


def test_a_clip_without_sound_is_judged_as_if_alone() -> None:
    made, (streams, _, _) = part(), batch()
    with torch.inference_mode():
        all_clips = made(streams)
        alone = made({"tokens": streams["tokens"][4:5]})
    assert bool(all_clips.isfinite().all())
    torch.testing.assert_close(all_clips[4:5], alone)


def test_where_weights_treat_picture_and_sound_alike_they_may_change_places() -> None:
    made = GroundedFusion([0], [1], 8).eval()
    fusion = made.transformer
    with torch.no_grad():
        for one in (fusion.embedding, fusion.missing):
            one[1] = one[0]
        for layer in fusion.cross:
            layer.bias.normal_()
            layer.bias[:, 1, 1], layer.bias[:, 1, 0] = layer.bias[:, 0, 0], layer.bias[:, 0, 1]
        fusion.merge.weight[:, 8:] = fusion.merge.weight[:, :8]
    tokens = torch.randn(2, 24, 2, 8)
    with torch.inference_mode():
        said, exchanged = made({"tokens": tokens}), made({"tokens": tokens.flip(2)})
        fusion.merge.weight[:, 8:].neg_()
        untied = made({"tokens": tokens}), made({"tokens": tokens.flip(2)})
    torch.testing.assert_close(said, exchanged)
    assert not torch.allclose(*untied, atol=1e-2)


def test_the_steps_that_are_grounded_overlap_with_those_that_were_forged() -> None:
    made = GroundedFusion([0], [1], 8, contrast=0, matching=0, grounding=1.0)
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-2)

    def drawn() -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens whose sound was forged from some step to another, and the truth."""
        tokens, targets = torch.randn(8, 40, 2, 8), torch.zeros(8, 40, 3)
        for clip, truth in zip(tokens, targets, strict=True):
            start = int(torch.randint(0, 20, ()))
            part = slice(start, start + 8 + int(torch.randint(0, 12, ())))
            clip[part, 1, :4] += 2.0
            truth[part, 1] = 1
        return tokens, targets

    mask = torch.ones(8, 40, dtype=torch.bool)
    for _ in range(130):
        tokens, targets = drawn()
        loss = made.learn({"tokens": tokens}, targets, mask)[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    made.eval()
    tokens, targets = drawn()
    with torch.inference_mode():
        said = made.ground(made.fused(tokens, mask)) > 0
    truth = targets > 0
    shared = (said & truth)[..., 1].sum(dim=1) / (said | truth)[..., 1].sum(dim=1)
    assert float(shared.mean()) > 0.8
    assert float(said[..., [0, 2]].float().mean()) < 0.02


def shown_and_heard(clips: int, lag: int, steps: int = 48) -> torch.Tensor:
    """Tokens (B, L, 2, 8) whose picture and sound show one slow signal, sound late by a lag."""
    slow = torch.hann_window(15, periodic=False)
    around = torch.randn(clips * 4, 1, steps + 40)
    signal = functional.conv1d(around, (slow / slow.norm())[None, None], padding=7)
    signal = signal.reshape(clips, 4, -1).transpose(1, 2)
    both = [signal[:, 20 - late : 20 - late + steps] for late in (0, lag)]
    tokens = torch.stack([torch.cat([x, -x], dim=2) for x in both], dim=2)
    return tokens + 0.2 * torch.randn_like(tokens)


def test_the_later_the_sound_the_surer_matching_is_that_it_does_not_belong() -> None:
    made = GroundedFusion([0], [1], 8, contrast=0, matching=1.0, grounding=0)
    optimizer = torch.optim.Adam(made.parameters(), lr=5e-3)
    mask, pristine_truth = torch.ones(12, 48, dtype=torch.bool), torch.zeros(12, 48, 3)
    for _ in range(100):
        loss = made.learn({"tokens": shown_and_heard(12, 0)}, pristine_truth, mask)[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    made.eval()

    def scores(lag: int) -> list[float]:
        fused = made.fused(shown_and_heard(100, lag), torch.ones(100, 48, dtype=torch.bool))
        return made.match(fused.mean(dim=1))[:, 0].tolist()

    with torch.inference_mode():
        genuine = scores(0)
        found = [auc([0] * 100 + [1] * 100, genuine + scores(lag)) for lag in (0, 1, 2, 5)]
    assert found[0] == pytest.approx(0.5, abs=0.1)
    assert found == sorted(found)
    assert found[-1] >= 0.95  # 200 ms
