"""Contrast, matching and grounding: their closed forms, and what each is about."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from extractors.clock import SAMPLES_PER_STEP
from extractors.spectrogram import log_mel, loudness
from fusion.zoo.grounding import (
    LEAST_MOVE,
    GroundedFusion,
    KeyQueue,
    contrastive,
    follow,
    known_loss,
    pristine,
    with_sound_shifted,
)
from pipelines.cues.drawn_clips import middles, speak
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


def test_the_queue_keeps_the_newest_1024_keys_and_goes_with_no_weights() -> None:
    queue = KeyQueue(2, 1024)
    for number in range(70):
        queue.push(torch.full((16, 2), float(number)))
    kept = queue.kept()
    assert len(kept) == 1024
    assert (float(kept[0, 0]), float(kept[-1, 0])) == (69.0, 6.0)
    assert not queue.state_dict()
    assert (
        part().state_dict().keys() == GroundedFusion([0, 1], [2], 8, queue=1024).state_dict().keys()
    )


def test_clips_of_earlier_batches_are_further_keys_that_no_query_is_a_pair_of() -> None:
    made = GroundedFusion([0], [1], 8, contrast=1.0, matching=0, grounding=0, soft=0.0, queue=32)
    with torch.no_grad():
        for heads in (made.heads, made.slow):
            for head in heads:
                head.weight.zero_()
                head.bias.fill_(1.0)  # all clips are alike: nobody can pick
    given = {"tokens": torch.randn(4, 20, 2, 8)}, torch.zeros(4, 20, 3), torch.ones(4, 20) > 0
    losses = [float(made.learn(*given)[1].detach()) for _ in range(3)]
    assert losses == pytest.approx([math.log(4), math.log(8), math.log(12)], abs=1e-5)


def test_labels_are_the_tracks_of_a_clip_each_by_itself() -> None:
    made = GroundedFusion([0], [1], 8, 0, 0, 0, labels=2.0).eval()
    assert made.label is not None
    targets, mask = torch.zeros(3, 20, 3), torch.ones(3, 20, dtype=torch.bool)
    targets[0, 3, 0] = targets[0, :, 1] = 1  # picture and sound
    targets[1, :, 2] = -1  # whether it is in sync is unknown
    mask[2, 10:] = False
    targets[2, 10:] = 1  # there is no such step
    with torch.no_grad():
        made.label.weight.zero_()
        made.label.bias.copy_(torch.tensor([2.0, 0.0, -1.0]))
    tokens = {"tokens": torch.randn(3, 20, 2, 8)}
    loss = float(made.learn(tokens, targets, mask)[1])
    cost = [math.log1p(math.exp(-2)), math.log(2), math.log1p(math.exp(-1))]
    against = [math.log1p(math.exp(2)), math.log(2)]
    assert loss == pytest.approx(2 * (sum(cost) + sum(against) * 2 + cost[2]) / 8, abs=1e-5)
    told = made.describe({"tokens": tokens["tokens"][:1]})
    assert told["picture forged"] == pytest.approx(1 / (1 + math.exp(-2)))
    assert list(told) == ["picture forged", "sound forged", "sync forged"]


def test_the_interval_of_forged_steps_is_learned_and_told() -> None:
    made = GroundedFusion([0], [1], 8, 0, 0, 0, interval=1.0)
    targets = torch.zeros(2, 20, 3)
    targets[0, 5:10, 1] = 1
    tokens, mask = {"tokens": torch.randn(2, 20, 2, 8)}, torch.ones(2, 20, dtype=torch.bool)
    made.learn(tokens, targets, mask)[1].backward()
    assert made.interval_head is not None
    assert float(made.interval_head.question.grad.abs().sum()) > 0
    told = made.eval().describe({"tokens": tokens["tokens"][:1]})
    assert 0 <= told["forged from"] <= told["forged to"] <= 1


def known_speech(seed: int, steps: int = 150) -> torch.Tensor:
    """Tokens (T, 2, 8) of a drawn speaker: how far the mouth is open, and how loud the sound is.

    Each is told by how near its rank in the clip lies to eight levels.
    """
    sound, envelope = speak(np.random.default_rng(seed), steps)
    shown = torch.from_numpy(middles(envelope))
    heard = loudness(log_mel(sound))
    assert len(shown) == len(heard) == len(sound) // SAMPLES_PER_STEP
    ranks = torch.stack([shown, heard], dim=1).argsort(dim=0).argsort(dim=0) / steps
    return torch.exp(-(((ranks[..., None] - torch.linspace(0, 1, 8)) / 0.12) ** 2))


def test_of_speakers_whose_lag_is_known_matching_finds_200_ms() -> None:
    voices = torch.stack([known_speech(seed) for seed in range(24)])

    def cut(members: torch.Tensor, clips: int, lag: int) -> torch.Tensor:
        rows = []
        for _ in range(clips):
            voice = members[int(torch.randint(0, len(members), ()))]
            start = int(torch.randint(8, 150 - 48, ()))
            seen, heard = voice[start : start + 48, 0], voice[start - lag : start - lag + 48, 1]
            rows.append(torch.stack([seen, heard], dim=1))
        tokens = torch.stack(rows)
        return tokens + 0.1 * torch.randn_like(tokens)

    made = GroundedFusion([0], [1], 8, contrast=0, matching=1.0, grounding=0)
    optimizer = torch.optim.Adam(made.parameters(), lr=5e-3)
    mask, truth = torch.ones(16, 48, dtype=torch.bool), torch.zeros(16, 48, 3)
    for _ in range(150):
        loss = made.learn({"tokens": cut(voices[:16], 16, 0)}, truth, mask)[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    made.eval()

    def scores(lag: int) -> list[float]:
        mask = torch.ones(80, 48, dtype=torch.bool)
        return made.match(made.fused(cut(voices[16:], 80, lag), mask).mean(dim=1))[:, 0].tolist()

    with torch.inference_mode():
        genuine = scores(0)
        found = [auc([0] * 80 + [1] * 80, genuine + scores(lag)) for lag in (0, 2, 5)]
    assert found[0] == pytest.approx(0.5, abs=0.1)
    assert found == sorted(found)
    assert found[-1] >= 0.95  # 200 ms
