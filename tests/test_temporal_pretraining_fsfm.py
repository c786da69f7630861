"""FSFM: its three losses, its moving average, its size."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from extractors.encoder import VisionTransformer
from extractors.face_regions import REGIONS
from pipelines.pretrain.recipe import NetworkConfig
from temporal.pretraining.autoencoder import start_anew
from temporal.pretraining.fsfm import Fsfm, view_loss

TINY = NetworkConfig(width=32, heads=2, layers=1, patch=16, image=64)


def tiny(**settings: float) -> Fsfm:
    return Fsfm(start_anew(VisionTransformer(TINY.encoder)), projection=8, width=32, **settings)  # type: ignore[arg-type]


def faces(count: int) -> dict[str, Tensor]:
    """Crops of noise whose middle is labelled as a nose and a mouth."""
    regions = torch.ones(count, 1, 64, 64, dtype=torch.uint8)
    regions[..., 16:32, 16:48] = REGIONS.index("nose")
    regions[..., 48:, 16:48] = REGIONS.index("mouth")
    return {"appearance": torch.randint(256, (count, 1, 3, 64, 64)), "regions": regions}


def seed(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def test_the_same_seed_hides_the_same_patches() -> None:
    module, streams = tiny().eval(), faces(4)
    losses = [float(module(streams, seed(n)).detach()) for n in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


def test_the_loss_is_the_sum_of_its_weighted_parts() -> None:
    streams, module = faces(4), tiny().eval()

    def loss(of_region: float, of_likeness: float) -> float:
        module.weights = of_region, of_likeness
        return float(module(streams, seed()).detach())

    plain = loss(0, 0)
    region, unlike = loss(1, 0) - plain, loss(0, 1) - plain
    assert loss(0.007, 0.1) == pytest.approx(plain + 0.007 * region + 0.1 * unlike, abs=1e-5)
    assert region > 0
    assert -0.5 <= unlike <= 0.5


def test_views_are_half_a_cosine_apart_at_most() -> None:
    x = torch.randn(5, 8)
    assert float(view_loss(x, 3 * x)) == pytest.approx(-0.5)
    assert float(view_loss(x, -x)) == pytest.approx(0.5)
    assert float(view_loss(torch.eye(4)[:2], torch.eye(4)[2:])) == 0


def test_the_target_follows_as_a_geometric_mean_and_gets_no_gradient() -> None:
    module = tiny(keep=0.9)
    old = module.slow_encoder.embed.weight.clone()
    with torch.no_grad():
        module.encoder.embed.weight.fill_(2.0)
    for _ in range(3):
        module(faces(2), seed()).backward()
    followed = module.slow_encoder.embed.weight
    torch.testing.assert_close(followed, 2 + 0.9**3 * (old - 2))
    slow = (module.slow_encoder, module.slow_viewer, module.slow_projector)
    assert all(p.grad is None for part in slow for p in part.parameters())
    kept = copy.deepcopy(followed)
    module.eval()(faces(2), seed())
    assert torch.equal(followed, kept)  # judging moves nothing


def test_of_the_published_shape_in_small_the_encoder_has_0_8_million_parameters() -> None:
    def millions(*modules: nn.Module) -> float:
        return sum(p.numel() for m in modules for p in m.parameters() if p.requires_grad) / 1e6

    module = Fsfm(VisionTransformer(NetworkConfig().encoder))
    places = module.encoder.positions.numel() / 1e6
    assert millions(module.encoder) - places == pytest.approx(0.81, abs=0.01)
    assert millions(module) == pytest.approx(1.2, abs=0.2)
    assert module.hidden == 147


def test_what_is_hidden_is_told_better_after_learning() -> None:
    """Faces that all are one of two pictures: what is seen tells which."""
    streams = faces(8)
    streams["appearance"] = streams["appearance"][:2].repeat(4, 1, 1, 1, 1)
    module = tiny()
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], 3e-3)
    before = float(module.eval()(streams, seed(99)).detach())
    for step in range(80):
        loss = module.train()(streams, seed(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(module.eval()(streams, seed(99)).detach()) < before - 0.3
    assert before == pytest.approx(module.chance(16), abs=0.5)
