"""The judge of steadiness: how far tokens change from step to step."""

from __future__ import annotations

import torch

from temporal.opinions.steadiness import SteadinessOpinion, changes

REACH = 100


def test_changes_are_the_root_mean_square_of_the_differences_around_a_step() -> None:
    tokens = torch.randn(2, 2 * REACH, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 2 * REACH, dtype=torch.bool)
    mask[1, 40:] = False
    found = changes(tokens, mask, REACH)
    assert found.shape == tokens.shape
    every = tokens[0].double().diff(dim=0)  # step REACH - 2 sees all but the last
    expected = every[: 2 * REACH - 2].square().mean(dim=0).sqrt()
    torch.testing.assert_close(found[0, REACH - 2].double(), expected, rtol=1e-4, atol=1e-4)
    expected = tokens[1, :40].double().diff(dim=0).square().mean(dim=0).sqrt()
    torch.testing.assert_close(found[1, 20].double(), expected, rtol=1e-4, atol=1e-4)


def test_what_does_not_change_is_steady_and_where_it_lies_does_not_count() -> None:
    ramp = torch.arange(50.0)[None, :, None] * torch.tensor([0.0, 0.5, -2.0])
    found = changes(ramp + 7.0, torch.ones(1, 50, dtype=torch.bool), REACH)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.5, 2.0]).expand(1, 50, 3))


def test_what_lies_outside_the_mask_does_not_count() -> None:
    tokens = torch.randn(1, 60, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(60)[None] < 45
    other = tokens.clone()
    other[:, 45:] = 1e3
    assert torch.equal(changes(tokens, mask, REACH)[:, :45], changes(other, mask, REACH)[:, :45])


def test_a_single_step_has_no_changes() -> None:
    assert not changes(torch.ones(2, 1, 4), torch.ones(2, 1, dtype=torch.bool), REACH).any()


def test_a_fitted_judge_tells_restless_tokens_from_steady_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = (torch.arange(60) % 2).float()
    steady = torch.randn(60, 80, 4, generator=generator).cumsum(dim=1) / 10
    shaken = torch.randn(60, 80, 4, generator=generator) * (1 + labels[:, None, None])
    mask = torch.ones(60, 80, dtype=torch.bool)
    judge = SteadinessOpinion(4, REACH)
    assert not judge(steady + shaken, mask).any()  # it learned nothing yet
    judge.fit(changes(steady + shaken, mask, REACH).mean(dim=1), labels, torch.ones(60))
    said = judge(steady + shaken, mask).mean(dim=1)
    assert bool((said[labels == 1] > 0).all())
    assert bool((said[labels == 0] < 0).all())
