"""Fusion: any subset of streams, a bounded neighbourhood, and a lag that is found."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fusion.transformer import CrossModalTransformer, FusionConfig, LagProfile

CONFIG = FusionConfig(stream_dropout=0.0)
STREAMS = ("appearance", "lips", "mel")
DIM = 32


def fused(tokens: dict[str, Tensor], config: FusionConfig = CONFIG) -> Tensor:
    torch.manual_seed(1)
    network = CrossModalTransformer(STREAMS, DIM, config).eval()
    length = next(iter(tokens.values())).shape[1]
    return network(tokens, torch.ones(1, length, dtype=torch.bool))


def test_any_subset_of_streams_gives_fused_tokens() -> None:
    tokens = {name: torch.randn(1, 20, DIM) for name in STREAMS}
    results = [
        fused({name: tokens[name] for name in subset})
        for subset in (STREAMS, ("lips",), ("mel",), ("appearance", "mel"))
    ]
    assert all(result.shape == (1, 20, DIM) for result in results)
    assert not torch.allclose(results[0], results[1])


def test_a_missing_stream_is_not_a_stream_of_zeros() -> None:
    tokens = {"lips": torch.randn(1, 20, DIM)}
    zeros = {**tokens, "mel": torch.zeros(1, 20, DIM)}
    assert not torch.allclose(fused(tokens), fused(zeros))


def test_a_step_hears_nothing_beyond_the_neighbourhood() -> None:
    tokens = {name: torch.randn(1, 120, DIM) for name in STREAMS}
    other = {name: t.clone() for name, t in tokens.items()}
    other["mel"][0, 60] = torch.randn(DIM)
    changed = (fused(tokens) - fused(other)).abs().amax(dim=(0, 2)) > 1e-6
    reach = CONFIG.cross_layers * CONFIG.reach + CONFIG.time_layers * CONFIG.window
    steps = changed.nonzero().flatten()
    assert int(steps.min()) >= 60 - reach
    assert int(steps.max()) <= 60 + reach
    assert changed[60 - CONFIG.reach : 60 + CONFIG.reach + 1].all()


def test_steps_outside_the_mask_change_nothing() -> None:
    torch.manual_seed(1)
    network = CrossModalTransformer(STREAMS, DIM, CONFIG).eval()
    tokens = {name: torch.randn(1, 30, DIM) for name in STREAMS}
    longer = {n: torch.cat([t, torch.randn(1, 10, DIM)], dim=1) for n, t in tokens.items()}
    short = network(tokens, torch.ones(1, 30, dtype=torch.bool))
    padded = network(longer, (torch.arange(40) < 30)[None])
    torch.testing.assert_close(padded[:, :30], short, atol=1e-5, rtol=1e-4)


def identity_lag(margin: int = 0) -> LagProfile:
    lag = LagProfile(DIM, reach=10, span=8, margin=margin)
    for linear in (lag.lips, lag.voice):
        torch.nn.init.eye_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    return lag


@pytest.mark.parametrize("shift", [-7, -2, 0, 3, 9])
def test_the_profile_peaks_at_the_lag_of_the_sound(shift: int) -> None:
    said = torch.randn(1, 140, DIM)
    lips, voice = said[:, 20:120], said[:, 20 - shift : 120 - shift]  # heard `shift` steps later
    profile = identity_lag()(lips, voice, torch.ones(1, 100, dtype=torch.bool))
    assert profile.shape == (1, 100, 21)
    assert torch.all(profile[0, 20:-20].argmax(dim=1) - 10 == shift)
    assert float(profile[0, 50].detach().max()) == pytest.approx(1.0, abs=1e-4)


def test_what_lies_in_the_margin_takes_no_part_in_the_profile() -> None:
    lips, voice = torch.randn(1, 60, DIM), torch.randn(1, 60, DIM)
    mask = torch.ones(1, 60, dtype=torch.bool)
    spoiled = lips.clone()
    spoiled[:, :4], spoiled[:, -4:] = 5.0, -5.0
    lag = identity_lag(margin=4)
    torch.testing.assert_close(lag(lips, voice, mask), lag(spoiled, voice, mask))
    short = torch.ones(1, 6, dtype=torch.bool)
    assert torch.all(lag(lips[:, :6], voice[:, :6], short) == 0)
