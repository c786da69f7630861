"""Experts: a token a step, none of which sees farther than it says."""

from __future__ import annotations

from math import log

import pytest
import torch
from torch import Tensor, nn

from temporal.experts import (
    CONTEXT,
    EXPERTS,
    ExpertConfig,
    FlickerBranch,
    build_experts,
    fold_norms,
    normalise,
)

SHAPES = {
    "appearance": (3, 112, 112),
    "mouth": (1, 48, 96),
    "landmarks": (40, 3),
    "flow": (2, 56, 56),
    "depth": (1, 56, 56),
    "mel": (80, 4),
}
SMALL = ExpertConfig(
    dim=16,
    appearance=4,
    flicker=True,
    lips=(4, 8),
    flow=(4, 8),
    depth=(4, 8),
    mel=(4, 8),
    voice=(4, 8),
)


def streams(steps: int) -> dict[str, Tensor]:
    made = {name: torch.randn(1, steps, *shape) for name, shape in SHAPES.items()}
    for name in ("appearance", "mouth"):
        made[name] = (made[name] * 40 + 128).clamp(0, 255).byte()
    return made


def tokens_of(expert: nn.Module, name: str, given: dict[str, Tensor]) -> Tensor:
    return expert(*[normalise(stream, given[stream]) for stream in EXPERTS[name]])


@pytest.mark.parametrize("steps", [1, 7, 33])
def test_every_expert_gives_a_token_a_step(steps: int) -> None:
    given = streams(steps)
    for name, expert in build_experts(SMALL).items():
        assert tokens_of(expert.eval(), name, given).shape == (1, steps, SMALL.dim)


@pytest.mark.parametrize("name", list(EXPERTS))
def test_a_token_sees_no_farther_than_its_context(name: str) -> None:
    expert = build_experts(ExpertConfig())[name].eval()
    first, length, changed = streams(41), 41, 20
    second = {n: s.clone() for n, s in first.items()}
    for stream in EXPERTS[name]:
        other = streams(1)[stream][:, 0]
        second[stream][:, changed] = other
        if stream == "mel":  # its colour, taken off over the window, must not tell
            mean = first[stream][:, changed].mean(dim=-1, keepdim=True)
            second[stream][:, changed] += mean - second[stream][:, changed].mean(-1, keepdim=True)
        if stream == "landmarks":
            second[stream][:, changed] += (
                first[stream][:, changed] - second[stream][:, changed]
            ).mean(dim=1, keepdim=True)
    with torch.inference_mode():
        difference = tokens_of(expert, name, first) - tokens_of(expert, name, second)
    change = difference.abs().amax(dim=(0, 2))
    assert float(change.max()) > 0
    moved = (change > 1e-3 * change.max()).nonzero().flatten()
    assert int(moved.min()) >= changed - CONTEXT[name]
    assert int(moved.max()) <= changed + CONTEXT[name]
    assert length > 2 * CONTEXT[name]


def test_the_level_of_sound_does_not_reach_the_experts() -> None:
    mel = torch.randn(2, 30, 80, 4)
    torch.testing.assert_close(normalise("mel", mel), normalise("mel", mel + 4.2))


def test_mel_hears_no_colour_that_stays_the_same() -> None:
    expert = build_experts(ExpertConfig())["mel"].eval()
    given = streams(50)
    tilted = given | {"mel": given["mel"] + torch.linspace(-3, 3, 80)[:, None]}
    with torch.inference_mode():
        same = torch.allclose(
            tokens_of(expert, "mel", given), tokens_of(expert, "mel", tilted), atol=1e-4
        )
    assert same


def test_norms_folded_into_convolutions_change_no_token() -> None:
    torch.manual_seed(0)
    experts = build_experts(SMALL).eval()
    for norm in (m for m in experts.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)):
        nn.init.uniform_(norm.running_mean, -1, 1)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    given = streams(9)
    before = {name: tokens_of(expert, name, given) for name, expert in experts.items()}
    fold_norms(experts)
    for name, expert in experts.items():
        torch.testing.assert_close(
            tokens_of(expert, name, given), before[name], rtol=1e-3, atol=1e-4
        )
    assert not any(isinstance(m, nn.BatchNorm2d) for m in experts["appearance"].stem.modules())


def test_steady_and_evenly_changing_colours_do_not_flicker() -> None:
    branch = FlickerBranch(dim=48)
    nn.init.eye_(branch.project.weight)
    ramp = torch.linspace(0, 1, 9).view(1, 9, 1, 1, 1).expand(1, 9, 3, 112, 112)
    still = torch.full((1, 9, 48), log(FlickerBranch.FLOOR) + 4)
    torch.testing.assert_close(branch(torch.zeros(1, 9, 3, 112, 112)), still)
    torch.testing.assert_close(branch(ramp)[:, 1:-1], still[:, 1:-1], atol=1e-3, rtol=0)


def test_a_colour_that_jumps_for_a_step_shows_there_where_it_is() -> None:
    branch = FlickerBranch(dim=48)
    nn.init.eye_(branch.project.weight)
    pictures = torch.zeros(1, 9, 3, 112, 112)
    pictures[0, 4, 1, :28, 28:56] = 0.5  # green of the first row's second region
    seen = branch(pictures)[0].detach().view(9, 3, 4, 4)
    floor = FlickerBranch.FLOOR
    assert float(seen[4, 1, 0, 1]) == pytest.approx(log(1.0 + floor) + 4)  # -1, 2, -1 times 0.5
    assert float(seen[3, 1, 0, 1]) == pytest.approx(log(0.5 + floor) + 4)
    seen[3:6, 1, 0, 1] = log(floor) + 4
    assert bool((seen - (log(floor) + 4)).abs().max() < 1e-4)


def test_the_flicker_branch_begins_by_adding_nothing() -> None:
    expert = build_experts(SMALL)["appearance"].eval()
    given = streams(5)
    with torch.inference_mode():
        before = tokens_of(expert, "appearance", given)
        expert.flicker = None
        torch.testing.assert_close(tokens_of(expert, "appearance", given), before)
