"""Convolutional attention: half as many keys, and tokens that move with the clip."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fusion.cvt import CvtLayer
from fusion.transformer import CrossModalTransformer, FusionConfig
from pipelines.config import ConfigError, from_dict

DIM = 8


def layer(window: int = 6) -> CvtLayer:
    """Make a layer whose batch norms have seen something."""
    torch.manual_seed(0)
    made = CvtLayer(DIM, heads=2, window=window, dropout=0.0)
    made.train()(torch.randn(4, 1, 24, DIM) * 2 + 1, torch.ones(4, 24, dtype=torch.bool))
    return made.eval()


def through(made: CvtLayer, x: Tensor) -> Tensor:
    with torch.no_grad():
        return made(x[:, None], torch.ones(x.shape[:2], dtype=torch.bool))[:, 0]


def test_keys_and_values_are_half_as_many_as_queries() -> None:
    made, x = layer(), torch.randn(1, DIM, 40)
    assert made.query(x).shape == (1, DIM, 40)
    assert made.key(x).shape == made.value(x).shape == (1, DIM, 20)


@pytest.mark.parametrize("shift", [2, 6])
def test_a_shift_by_the_stride_shifts_inner_tokens_exactly(shift: int) -> None:
    made, x = layer(), torch.randn(1, 60, DIM)
    here, there = through(made, x), through(made, x.roll(shift, dims=1))
    inner = slice(10, 60 - 10 - shift)
    moved = there[:, inner.start + shift : inner.stop + shift]
    torch.testing.assert_close(moved, here[:, inner], atol=1e-5, rtol=1e-5)
    odd = through(made, x.roll(1, dims=1))[:, inner.start + 1 : inner.stop + 1]
    assert float((odd - here[:, inner]).abs().max()) > 1e-3  # keys fall on other steps


def test_on_a_circle_the_whole_block_shifts_with_its_input() -> None:
    made, x = layer(window=100), torch.randn(1, 40, DIM)
    for module in made.modules():
        if isinstance(module, nn.Conv1d):
            module.padding_mode = "circular"
    shifted = through(made, x.roll(4, dims=1))
    torch.testing.assert_close(shifted, through(made, x).roll(4, dims=1), atol=1e-5, rtol=1e-5)


def test_a_step_depends_on_its_window_alone_and_not_on_steps_outside_the_mask() -> None:
    made, x = layer(window=6), torch.randn(1, 60, DIM)
    other = x.clone()
    other[0, 30] += 1.0
    changed = (through(made, x) - through(made, other)).abs().amax(dim=(0, 2)) > 1e-6
    steps = changed.nonzero().flatten()
    assert int(steps.min()) >= 24
    assert int(steps.max()) <= 36
    mask = (torch.arange(60) < 41)[None]
    with torch.no_grad():
        masked = made(x[:, None], mask)[:, 0, :41]
    torch.testing.assert_close(masked, through(made, x[:, :41]), atol=1e-5, rtol=1e-5)


def test_a_recipe_chooses_the_block_of_the_layers_along_time() -> None:
    config = from_dict(FusionConfig, {"block": "cvt"}, "recipe")
    network = CrossModalTransformer(("lips", "mel"), DIM, config)
    assert all(isinstance(part, CvtLayer) for part in network.time)
    assert not any(isinstance(part, CvtLayer) for part in network.cross)
    tokens = {name: torch.randn(2, 20, DIM) for name in ("lips", "mel")}
    out = network(tokens, torch.ones(2, 20, dtype=torch.bool))
    out.square().mean().backward()
    assert out.shape == (2, 20, DIM)
    assert network.time[0].get_submodule("key.0").weight.grad.abs().sum() > 0
    plain = CrossModalTransformer(("lips", "mel"), DIM, FusionConfig())
    assert not any(isinstance(part, CvtLayer) for part in plain.time)
    with pytest.raises(ConfigError, match="block: expected one of"):
        from_dict(FusionConfig, {"block": "other"}, "recipe")
