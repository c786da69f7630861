"""Plain rules of fusion: known answers, and what happens where experts have nothing to judge."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fusion.zoo.baselines import EnsembleOfExperts, MaximumOfExperts, MeanOfExperts
from fusion.zoo.similarity_gate import SimilarityGate
from pipelines.metrics.classification import auc

NAN = float("nan")


OPINIONS = {"opinions": torch.tensor([[[1.0, 3.0, NAN], [NAN, NAN, NAN], [-2.0, -1.0, -6.0]]])}


def test_mean_and_maximum_leave_out_experts_without_an_opinion() -> None:
    assert MeanOfExperts()(OPINIONS).tolist() == [[2.0, 0.0, -3.0]]
    assert MaximumOfExperts()(OPINIONS).tolist() == [[3.0, 0.0, -1.0]]


def test_an_ensemble_with_equal_shares_is_the_mean_and_gives_missing_shares_away() -> None:
    ensemble = EnsembleOfExperts(3)
    torch.testing.assert_close(ensemble(OPINIONS), MeanOfExperts()(OPINIONS))
    with torch.no_grad():
        ensemble.shares.copy_(torch.tensor([math.log(3.0), 0.0, 0.0]))
        ensemble.sharpness.copy_(torch.tensor([math.log(2.0), 0.0, 0.0]))
        ensemble.bias.fill_(0.5)
    said = ensemble(OPINIONS)[0].tolist()
    assert said[0] == pytest.approx(0.75 * 2 * 1 + 0.25 * 3 + 0.5)
    assert said[1] == pytest.approx(0.5)
    assert said[2] == pytest.approx(0.6 * 2 * -2 + 0.2 * -1 + 0.2 * -6 + 0.5)


def test_only_the_experts_in_the_given_places_are_asked() -> None:
    some = {"opinions": OPINIONS["opinions"][..., [0, 1]]}
    assert MeanOfExperts([0, 1])(OPINIONS).tolist() == [[2.0, 0.0, -1.5]]
    torch.testing.assert_close(EnsembleOfExperts(2, [0, 1])(OPINIONS), MeanOfExperts()(some))


def fitted(
    ensemble: EnsembleOfExperts, opinions: torch.Tensor, labels: torch.Tensor
) -> EnsembleOfExperts:
    """The ensemble after it has learned from the opinions (N, K) of clips with labels (N,)."""
    optimizer = torch.optim.Adam(ensemble.parameters(), 0.05)
    for _ in range(150):
        said = ensemble({"opinions": opinions[None]})[0]
        loss = nn.functional.binary_cross_entropy_with_logits(said, labels.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return ensemble


def test_an_ensemble_learns_which_expert_to_trust() -> None:
    labels = torch.arange(400) % 2
    good = labels * 2.0 - 1 + 0.5 * torch.randn(400)
    given = torch.stack([torch.randn(400), good, torch.randn(400)], dim=1)
    ensemble = fitted(EnsembleOfExperts(3), given, labels)
    assert ensemble.shares.softmax(dim=0)[1] > 0.8


def test_of_an_artefact_left_out_the_ensemble_knows_as_much_as_the_best_expert() -> None:
    # Drawn opinions: each of three experts sees its own artefact well and the other two a little.
    sees = 0.5 + 1.5 * torch.eye(3)
    labels = torch.arange(600) % 2
    given = [torch.randn(600, 3) + labels[:, None] * row for row in sees]  # of each artefact
    ensembles, experts = [], []
    for left_out in range(3):
        taught = torch.cat([given[i] for i in range(3) if i != left_out])
        ensemble = fitted(EnsembleOfExperts(3), taught, labels.repeat(2))
        with torch.inference_mode():
            said = ensemble({"opinions": given[left_out][None]})[0]
        ensembles.append(auc(labels.numpy(), said.numpy()))
        experts.append([auc(labels.numpy(), own.numpy()) for own in given[left_out].T])
    best = max(sum(own) / 3 for own in zip(*experts, strict=True))
    assert sum(ensembles) / 3 >= best - 0.01


def gate() -> SimilarityGate:
    return SimilarityGate(visual=[0, 1], audio=[2], both=[3, 4], dim=8).eval()


def gates_taught_by(telling: list[int], updates: int) -> list[float]:
    """The mean gates of picture, sound and both, once tokens in some places alone tell fakes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fused = gate()
        optimizer = torch.optim.Adam(fused.parameters(), lr=3e-3)
        for update in range(updates + 1):
            tokens, fake = torch.randn(16, 4, 5, 8), (torch.arange(16) % 2).float()
            tokens[:, :, telling] += (2 * fake - 1)[:, None, None, None]
            given = {"tokens": tokens, "lag": torch.rand(16, 4, 3)}
            if update == updates:
                with torch.inference_mode():
                    found = fused.gates(fused.vectors(given["tokens"], given["lag"]))
                return found.mean(dim=(0, 1)).tolist()
            truth = fake[:, None].expand(-1, 4)
            loss = nn.functional.binary_cross_entropy_with_logits(fused(given), truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    raise AssertionError


def test_where_the_picture_alone_tells_the_gate_of_sound_falls() -> None:
    before, by_picture, by_sound = (
        gates_taught_by(telling, updates)[1]
        for telling, updates in (([0, 1], 0), ([0, 1], 60), ([2], 60))
    )
    assert by_picture < before - 0.05
    assert by_sound > before + 0.03
