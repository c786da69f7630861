"""Training on several corpora: distances of Gaussians, prototypes, and steps between domains."""

from __future__ import annotations

import math

import pytest
import torch
from drawn_clips import MODALITY, drawn_batch, drawn_clips, tiny_probe
from torch import Tensor

from pipelines.train.batches import Batch
from pipelines.train.options.gmdf import Gmdf, GmdfConfig, prototype_loss, wasserstein


def rows_of(mean: tuple[float, float], deviations: tuple[float, float]) -> Tensor:
    """Return four rows (4, 2) of a mean and a diagonal covariance."""
    a, b = (d * 2**0.5 for d in deviations)
    around = torch.tensor([[a, 0.0], [-a, 0.0], [0.0, b], [0.0, -b]])
    return (torch.tensor(mean) + around).requires_grad_()


def test_the_distance_of_gaussians_is_that_of_means_and_of_the_roots_of_covariances() -> None:
    x, y = rows_of((0.0, 1.0), (1.0, 2.0)), rows_of((3.0, 5.0), (4.0, 0.5))
    expected = 3**2 + 4**2 + (1 - 4) ** 2 + (2 - 0.5) ** 2
    assert float(wasserstein(x, y)) == pytest.approx(expected, rel=1e-5)
    assert float(wasserstein(x, x + 0)) == pytest.approx(0.0, abs=1e-5)
    turned = rows_of((0.0, 1.0), (2.0, 1.0))
    assert float(wasserstein(x, turned)) == pytest.approx(2.0, rel=1e-5)
    wide = torch.randn(3, 8, requires_grad=True)  # covariances without full rank
    wasserstein(wide, torch.randn(4, 8)).backward()
    assert wide.grad is not None
    assert bool(wide.grad.isfinite().all())


def test_a_clip_at_its_own_prototype_has_the_loss_of_the_others_at_right_angles() -> None:
    prototypes = torch.eye(6).reshape(3, 2, 6)
    domains, classes = torch.tensor([0, 2]), torch.tensor([1, 0])
    features = 5 * prototypes[domains, classes]
    softness = 0.07 + 0.01 * 2**0.5
    expected = math.log(1 + 5 * math.exp(-1 / softness))
    found = float(prototype_loss(features, prototypes, domains, classes))
    assert found == pytest.approx(expected, rel=1e-3)
    wrong = float(prototype_loss(features, prototypes, domains, 1 - classes))
    assert wrong == pytest.approx(expected + 1 / softness, rel=1e-3)


def test_the_outer_loss_is_taken_where_a_step_on_half_of_the_domains_leads() -> None:
    torch.manual_seed(0)
    clips = drawn_clips(8, ("mel",))  # of two sources
    config = GmdfConfig(inner=0.1)
    method = Gmdf(tiny_probe("mel", adapters=("mel",)), "audio", config, clips)
    batch = drawn_batch(config, clips, "mel", size=8)
    weight, seen = method.probe.linear.weight, []

    def loss_on(given: Batch) -> Tensor:
        seen.append((weight.detach().clone(), given.clips))
        loss = method.loss(given)
        slopes.append(torch.autograd.grad(loss, weight, retain_graph=True)[0])
        return loss

    slopes: list[Tensor] = []
    method.gradients(loss_on, batch)
    inner, outer = seen
    sources = {clips[i].sample.source for i in inner[1].tolist()}
    assert len(sources) == 1  # half of two
    assert torch.equal(outer[1], batch.clips)
    torch.testing.assert_close(outer[0], inner[0] - 0.1 * slopes[0])
    torch.testing.assert_close(weight.grad, slopes[1])
    assert torch.equal(weight, inner[0])
    assert int(method.updates) == 1


@pytest.mark.parametrize("name", ["flow", "mel"])
def test_every_part_learns(name: str) -> None:
    torch.manual_seed(0)
    clips = drawn_clips(8, (name,))
    probe = tiny_probe(name, adapters=(name,))
    method = Gmdf(probe, MODALITY[name], GmdfConfig(), clips)
    batch = drawn_batch(GmdfConfig(), clips, name, size=8)
    method.gradients(method.loss, batch)
    assert probe.adapter is not None
    for part in (probe.expert, probe.adapter, method.rebuild, method.embedding):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    assert method.prototypes.grad is not None
