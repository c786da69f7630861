"""Momentum difficulty boosting: weights, the moving average, and flipped labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn_clips import drawn_batch, drawn_clips, tiny_probe
from torch import nn

from pipelines.metrics.classification import auc
from pipelines.train.batches import targets_of
from pipelines.train.losses import step_loss
from pipelines.train.options.mdb import (
    Boosting,
    MdbConfig,
    boosted,
    diversity_matrix,
    followed,
)


def test_weights_average_one_grow_with_difficulty_and_are_capped() -> None:
    weights = boosted(torch.tensor([0.0, 0.5, 0.9, 1.0]), power=2.0, cap=0.9)
    assert float(weights.mean()) == pytest.approx(1.0)
    assert float(weights[1] / weights[0]) == pytest.approx(1.5**2)
    assert float(weights[3]) == float(weights[2])
    assert torch.equal(boosted(torch.full((5,), 0.3), 2.0, 0.9), torch.ones(5))


def test_a_clip_that_is_right_every_other_time_is_half_as_difficult() -> None:
    difficulty = torch.tensor([0.5, 0.2])
    seen = []
    for turn in range(400):
        difficulty = followed(difficulty, torch.tensor([0]), torch.tensor([turn % 2 * 1.0]), 0.9)
        seen.append(float(difficulty[0]))
    assert np.mean(seen[-100:]) == pytest.approx(0.5, abs=1e-3)
    assert abs(seen[-1] - 0.5) < 0.03
    assert float(difficulty[1]) == pytest.approx(0.2)  # never drawn
    twice = followed(torch.tensor([0.5]), torch.tensor([0, 0]), torch.tensor([0.0, 1.0]), 0.9)
    assert float(twice) == pytest.approx(0.5)


def test_flipped_labels_become_the_most_difficult() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 2, generator=generator)
    flipped = torch.rand(400, generator=generator) < 0.1
    labels = ((x[:, 0] > 0) ^ flipped).float()
    model, difficulty = nn.Linear(2, 1), torch.full((400,), 0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(150):
        clips = torch.randint(400, (32,), generator=generator)
        logits = model(x[clips])[:, 0]
        entropy = nn.functional.binary_cross_entropy_with_logits(
            logits, labels[clips], reduction="none"
        )
        missed = 1 - (-entropy.detach()).exp()
        weights = boosted(difficulty[clips], 2.0, 0.9)
        difficulty = followed(difficulty, clips, missed, 0.9)
        optimizer.zero_grad()
        (weights * entropy).mean().backward()
        optimizer.step()
    assert auc(flipped.numpy(), difficulty.numpy()) > 0.9


def test_without_power_the_loss_is_that_of_the_steps_and_with_it_hard_clips_count_more() -> None:
    clips = drawn_clips(4, ("mel",))
    batch = drawn_batch(MdbConfig(), clips, "mel")
    probe = tiny_probe("mel").eval()
    plain = step_loss(
        probe(batch.streams)[..., None], targets_of(batch.targets, "audio")[..., None], batch.mask
    )
    easy = Boosting(probe, "audio", MdbConfig(power=0.0), clips)
    assert float(easy.loss(batch).detach()) == pytest.approx(float(plain.detach()))
    assert bool((easy.difficulty[batch.clips] != 0.5).all())
    assert bool((easy.difficulty[[i for i in range(4) if i not in batch.clips]] == 0.5).all())
    hard = Boosting(probe, "audio", MdbConfig(), clips)
    hard.difficulty[:] = torch.tensor([0.0, 0.0, 0.9, 0.9])
    assert float(hard.loss(batch).detach()) != pytest.approx(float(plain.detach()), rel=1e-4)


def test_the_matrix_has_each_method_within_each_source() -> None:
    clips = drawn_clips(8)  # of two sources and methods, alternating
    scores = [0.1, 0.9, 0.5, 0.4, 0.2, 0.8, 0.6, 0.7]
    matrix = diversity_matrix(clips, scores, "visual")
    assert matrix == {"dots": {"street": 0.5}, "grid": {"lab": 1.0}}
    assert diversity_matrix([c for c in clips if c.sample.fake], scores[:4], "visual") == {}
