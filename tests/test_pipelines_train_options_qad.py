"""Quality-agnostic training: dependence of features, perturbed weights, aligned qualities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from drawn_clips import drawn_batch, drawn_clips, tiny_probe
from torch import Tensor, nn

from pipelines.train.batches import Batch, balanced_weights, draw_batches
from pipelines.train.options.method import displaced
from pipelines.train.options.qad import (
    Qad,
    QadConfig,
    along_gradient,
    centred_product,
    hsic,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_features_depend_on_themselves_and_not_on_others() -> None:
    x, y = normal(200, 8), normal(200, 8, seed=1)
    assert float(hsic(x, y, 6.0)) == pytest.approx(1.4e-4, rel=0.5)
    assert float(hsic(x, x, 6.0)) == pytest.approx(3.6e-3, rel=0.2)
    noisy = x + 0.1 * normal(200, 8, seed=2)
    own = float(hsic(x, x, 6.0)) * float(hsic(noisy, noisy, 6.0))
    assert float(hsic(x, noisy, 6.0)) / math.sqrt(own) == pytest.approx(0.990, abs=0.01)


def test_with_linear_kernels_it_is_the_squared_norm_of_the_covariance() -> None:
    x, y = normal(50, 4), normal(50, 3, seed=1)
    covariance = np.cov(x.numpy().T, y.numpy().T)[:4, 4:]
    assert float(centred_product(x @ x.T, y @ y.T)) == pytest.approx((covariance**2).sum())


def test_neither_order_nor_place_changes_it() -> None:
    x, y = normal(30, 4), normal(30, 4, seed=1)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(2))
    expected = float(hsic(x, y, 6.0))
    assert float(hsic(x[order], y[order], 6.0)) == pytest.approx(expected)
    assert float(hsic(x + 3.0, y, 6.0)) == pytest.approx(expected)


def test_weights_are_moved_along_their_gradient_by_a_share_of_their_length_and_come_back() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 1)).double()
    x = normal(16, 5)
    before = {name: t.clone() for name, t in network.state_dict().items()}
    loss = network(x).square().mean()
    loss.backward()
    statistics = {name: t.clone() for name, t in network.state_dict().items()}
    matrices = [p for p in network.parameters() if p.dim() > 1]
    lengths = [(p.detach().norm() * p.grad.norm()) for p in matrices if p.grad is not None]
    foretold = 1e-4 * float(sum(lengths))
    with displaced(network, lambda weight: along_gradient(weight, 1e-4)):
        for name, parameter in network.named_parameters():
            share = 1e-4 if parameter.dim() > 1 else 0.0
            moved = float((parameter - before[name]).detach().norm())
            assert moved == pytest.approx(share * float(before[name].norm()))
        rise = float((network(x).square().mean() - loss).detach())
    assert rise == pytest.approx(foretold, rel=0.01)
    assert all(torch.equal(t, statistics[name]) for name, t in network.state_dict().items())


def test_a_clip_comes_in_three_qualities_of_one_stretch() -> None:
    clips = drawn_clips(2, ("appearance", "mel"))
    names = ("appearance", "mel")
    (batch,) = draw_batches(
        clips, balanced_weights(clips, "visual"), names, 8, 2, 0, 0, 1,
        views=QadConfig().views(clips),
    )  # fmt: skip
    assert batch.clips.tolist()[::3] == batch.clips.tolist()[1::3] == batch.clips.tolist()[2::3]
    assert torch.equal(batch.targets[::3], batch.targets[2::3])
    raw, fine, coarse = (batch.streams["appearance"][q::3].float() for q in range(3))
    losses = [float((raw - coded).square().mean()) for coded in (fine, coarse)]
    assert 0 < losses[0] < losses[1] < float((raw - raw.flip(0)).square().mean())
    heard = [batch.streams["mel"][q::3] for q in range(3)]
    assert not torch.equal(heard[0], heard[1])
    assert np.corrcoef(heard[0].flatten(), heard[2].flatten())[0, 1] > 0.7


def test_weights_are_perturbed_once_they_are_warm() -> None:
    method = Qad(tiny_probe("mel"), "audio", QadConfig(gamma=0.1, warm=1))
    batch = drawn_batch(QadConfig(), drawn_clips(4, ("mel",)), "mel")
    weight = next(p for p in method.parameters() if p.dim() > 1)
    seen = []

    def loss_on(batch: Batch) -> Tensor:
        seen.append(weight.detach().clone())
        return method.loss(batch)

    for _ in range(2):
        method.gradients(loss_on, batch)
    assert len(seen) == 3  # once plainly, then before and at the perturbation
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])
    assert torch.equal(weight, seen[0])


def test_alike_features_lower_the_loss() -> None:
    clips = drawn_clips(4, ("mel",))
    batch = drawn_batch(QadConfig(), clips, "mel")
    losses = []
    for alpha in (0.0, 1.0):
        torch.manual_seed(0)
        method = Qad(tiny_probe("mel"), "audio", QadConfig(alpha=alpha))
        losses.append(float(method.train().loss(batch).detach()))
    assert losses[1] < losses[0]


def test_streams_that_cannot_be_coded_anew_are_refused() -> None:
    with pytest.raises(ValueError, match="qad teaches appearance and mel alone"):
        QadConfig(stages=("flow",))
