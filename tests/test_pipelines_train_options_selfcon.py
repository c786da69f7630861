"""Self-contrastive training: the loss in closed form, both tracks, and shared pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from drawn_clips import drawn_batch, drawn_clips, tiny_probe

from pipelines.train.options.selfcon import SelfCon, SelfConConfig, contrast, shared, shared_clip

TAU = 0.07


def test_equal_embeddings_are_told_apart_by_chance() -> None:
    points, labels = torch.tensor([[1.0, 0.0]]).repeat(16, 1), torch.arange(2).repeat_interleave(8)
    assert float(contrast(points, labels, TAU)) == pytest.approx(math.log(15), abs=1e-5)


def test_two_antipodal_clusters_reach_the_least_loss() -> None:
    labels = torch.arange(2).repeat_interleave(8)
    points = torch.stack([1.0 - 2.0 * labels, torch.zeros(16)], dim=1)
    expected = math.log(7 + 8 * math.exp(-2 / TAU))
    assert float(contrast(points, labels, TAU)) == pytest.approx(expected, abs=1e-5)
    assert expected == pytest.approx(1.94591, abs=1e-5)


def test_a_rotation_changes_nothing_and_a_label_without_mates_is_left_out() -> None:
    torch.manual_seed(0)
    points = torch.nn.functional.normalize(torch.randn(12, 5), dim=1)
    labels = torch.randint(3, (12,))
    turn = torch.linalg.qr(torch.randn(5, 5)).Q
    loss = float(contrast(points, labels, TAU))
    assert float(contrast(points @ turn, labels, TAU)) == pytest.approx(loss, rel=1e-4)
    assert float(contrast(points, torch.arange(12), TAU)) == 0.0


def test_contrast_joins_the_loss_and_leaves_the_expert_alone_at_inference() -> None:
    torch.manual_seed(0)
    clips = drawn_clips(4, ("mel",))
    config = SelfConConfig()
    method = SelfCon(tiny_probe("mel"), "audio", config, clips).train()
    batch = drawn_batch(config, clips, "mel")
    loss = method.loss(batch)
    assert float(loss) > float(method.step_loss(method(batch.streams), batch))
    loss.backward()
    for part in (method.end, method.side, method.probe):
        assert all(p.grad is not None for p in part.parameters())
    before = method.eval()(batch.streams)
    for part in (method.end, method.side):
        for parameter in part.parameters():
            parameter.data.zero_()
    assert torch.equal(method(batch.streams), before)


def test_both_tracks_are_measured_as_the_clips_are_and_as_they_are_shared() -> None:
    torch.manual_seed(0)
    clips = drawn_clips(8, ("mel",))
    method = SelfCon(tiny_probe("mel"), "audio", SelfConConfig(), clips)
    for seed in range(3):
        method.train().loss(drawn_batch(SelfConConfig(), clips, "mel", seed=seed))
    assert bool(method.centres[1:-1].any())
    table = method.report(clips, [])
    assert set(table) == {"clean", "shared"}
    for row in table.values():
        assert isinstance(row, dict)
        assert 0 <= row["auc"] <= 1
        assert row["generator"] in (0, 0.25, 0.5, 0.75, 1)
    strangers = drawn_clips(4, ("mel",), methods=("other",))
    assert method._tracks(strangers)["generator"] is None


def test_a_shared_picture_is_nearly_the_same() -> None:
    (clip, *_) = drawn_clips(1)
    other = shared_clip(clip)
    one, again = (other.chunk(0, 3, ("appearance",), None)["appearance"] for _ in range(2))
    own = clip.chunk(0, 3, ("appearance",), None)["appearance"]
    assert torch.equal(one, again)
    assert one.shape == own.shape
    assert not torch.equal(one, own)
    plain = np.full((2, 40, 40, 3), 90, dtype=np.uint8)
    changed = shared(plain, np.random.default_rng(0)).astype(int)
    assert abs(changed - 90).max() <= 3
