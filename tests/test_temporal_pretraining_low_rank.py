"""Low-rank changes: nothing at first, within the budget, where they are needed."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from extractors.encoder import EncoderConfig, VisionTransformer
from temporal.pretraining.autoencoder import start_anew
from temporal.pretraining.low_rank import (
    add_low_rank,
    contributions,
    matrices,
    merged,
    ranks_within,
)

CONFIG = EncoderConfig("small", 32, 2, 64, 3, patch=4, image=16, pre_norm=False)
PICTURES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 255


def small() -> VisionTransformer:
    return start_anew(VisionTransformer(CONFIG))


def seen(encoder: VisionTransformer) -> Tensor:
    tokens: Tensor = encoder(PICTURES, [3])[0]
    return tokens


def test_at_first_nothing_changes_and_only_the_narrow_matrices_learn() -> None:
    encoder = small()
    before = seen(encoder)
    add_low_rank(encoder, {"0.qkv": 2, "2.fc1": 3})
    assert torch.equal(seen(encoder), before)
    learned = {n for n, p in encoder.named_parameters() if p.requires_grad}
    assert learned == {
        f"blocks.{layer}.parametrizations.weight.0.{side}"
        for layer in ("0.qkv", "2.fc1") for side in ("up", "down")
    }  # fmt: skip
    assert sum(p.numel() for p in encoder.parameters() if p.requires_grad) == 2 * 128 + 3 * 96


def test_merged_they_are_an_ordinary_encoder_that_says_the_same() -> None:
    encoder = small()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    add_low_rank(encoder, {"1.out": 4})
    change = encoder.get_submodule("blocks.1.out.parametrizations.weight.0")
    torch.nn.init.normal_(change.up)
    told = seen(encoder)
    state = merged(encoder)
    ordinary = VisionTransformer(CONFIG)
    ordinary.load_state_dict(state)
    torch.testing.assert_close(seen(ordinary), told)
    moved = state["blocks.1.out.weight"] - before["blocks.1.out.weight"]
    assert int(torch.linalg.matrix_rank(moved)) == 4


@pytest.mark.parametrize("budget", [0, 100, 1000, 5000])
def test_all_changes_together_stay_within_the_budget_and_go_by_contribution(budget: int) -> None:
    shapes = {name: (layer.out_features, layer.in_features) for name, layer in
              matrices(small()).items()}  # fmt: skip
    parts = {name: float(i + 1) for i, name in enumerate(shapes)}
    ranks = ranks_within(parts, shapes, budget)
    spent = sum(rank * sum(shapes[name]) for name, rank in ranks.items())
    assert spent <= budget
    assert budget - spent < sum(map(sum, shapes.values()))  # less than a rank each is left over
    given = [ranks.get(name, 0) for name in parts]
    assert given == sorted(given)
    assert ranks_within(dict.fromkeys(shapes, 0.0), shapes, budget) == {}


@pytest.mark.parametrize("planted", ["1.fc2", "2.out"])
def test_the_only_matrix_that_has_to_change_gets_the_largest_rank(planted: str) -> None:
    """The goal is the encoder's with one other matrix; a fine-tuning of all tells which."""
    encoder = small()
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        weight = matrices(other)[planted].weight
        weight.add_(0.1 * torch.randn_like(weight))
        goal = seen(other)
    tuned = copy.deepcopy(encoder)
    optimizer = torch.optim.Adam([layer.weight for layer in matrices(tuned).values()], 3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        (seen(tuned) - goal).square().mean().backward()
        optimizer.step()
    old, new = ({n: layer.weight.detach() for n, layer in matrices(e).items()}
                for e in (encoder, tuned))  # fmt: skip
    changes = {name: new[name] - old[name] for name in old}
    parts = contributions(encoder, changes, [(seen(encoder) - goal).square().mean()])
    shapes = {name: (weight.shape[0], weight.shape[1]) for name, weight in old.items()}
    ranks = ranks_within(parts, shapes, 5000)
    assert max(ranks, key=lambda name: ranks[name]) == planted
    assert sum(rank == ranks[planted] for rank in ranks.values()) == 1


def test_a_contribution_is_the_mean_product_of_gradient_and_change() -> None:
    encoder = small()
    layer = matrices(encoder)["0.fc1"]
    change = torch.rand_like(layer.weight)
    losses = [seen(encoder).square().mean(), seen(encoder).abs().mean()]
    parts = contributions(encoder, {"0.fc1": change}, losses)
    wanted = 0.0
    for loss in (seen(encoder).square().mean(), seen(encoder).abs().mean()):
        (gradient,) = torch.autograd.grad(loss, [layer.weight])
        wanted += float((gradient * change).abs().mean()) / 2
    assert parts == {"0.fc1": pytest.approx(wanted, rel=1e-5)}
