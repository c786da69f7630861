"""Real, laundered, synthetic or no answer: the two stages, their levels, and who teaches them."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist
from unittest.mock import Mock

import pytest
import torch
from torch.nn import functional

from temporal.zoo.laundering import (
    NO_ANSWER,
    ORIGINS,
    LaunderingVotes,
    abstaining_levels,
    origins,
)
from temporal.zoo.patch_votes import mean_of_highest
from temporal.zoo.reconstruction import AutoEncoder

WEIGHTS = Path(__file__).resolve().parents[1] / "avdetect/weights/zoo/rebuilt.safetensors"
NORMAL = NormalDist()


def test_what_the_first_stage_calls_real_is_real_whatever_the_second_says() -> None:
    levels = torch.tensor([[-1.0, 1.0], [-2.0, 2.0]])
    first = torch.tensor([-5.0, -5.0, 0.0, 5.0, 5.0, 5.0])
    second = torch.tensor([9.0, -9.0, 9.0, 9.0, -9.0, 0.0])
    said = ["real", "real", None, "laundered", "synthetic", None]
    wanted = [NO_ANSWER if name is None else ORIGINS.index(name) for name in said]
    assert origins(first, second, levels).tolist() == wanted


def test_levels_leave_out_what_could_be_either() -> None:
    apart = 2.0
    below, above = torch.randn(2, 200_000).double()
    low, high = abstaining_levels(below, above + apart, 0.05)
    edge = NORMAL.inv_cdf(0.95)
    assert [float(low), float(high)] == pytest.approx([apart - edge, edge], abs=0.02)
    silent = ((below > low) & (below < high)).float().mean()
    assert float(silent) == pytest.approx(NORMAL.cdf(edge) - NORMAL.cdf(apart - edge), abs=0.01)
    assert float((below >= high).float().mean()) == pytest.approx(0.05, abs=0.002)
    far = abstaining_levels(below, above + 20, 0.05)
    assert float(far[0]) == float(far[1]) == pytest.approx(10, abs=0.05)


def test_levels_take_away_the_bias_of_the_highest_votes() -> None:
    bias = NORMAL.pdf(NORMAL.inv_cdf(0.25)) / 0.75
    below = mean_of_highest(torch.randn(4000, 400), 0.75)
    above = mean_of_highest(torch.randn(4000, 400) + 1, 0.75)
    low, high = abstaining_levels(below, above, 0.05)
    assert bias == pytest.approx(0.4237, abs=1e-4)
    assert float((low + high) / 2) == pytest.approx(0.5 + bias, abs=0.01)


def test_laundered_is_what_the_auto_encoder_of_genuine_faces_makes_of_a_crop() -> None:
    part = LaunderingVotes(str(WEIGHTS), patches=4, frames=2, width=4)
    smooth = functional.interpolate(255 * torch.rand(2, 1, 7, 7), (112, 112), mode="bicubic")
    crops = smooth.clamp(0, 255).byte().expand(-1, 3, -1, -1)[None]
    made = part.laundered(crops)
    assert made.dtype == torch.uint8
    error = (made.float() - crops.float()).square().mean().sqrt()
    assert 0.5 < float(error) < float(crops.float().std()) / 4  # near, and another picture
    with torch.no_grad():
        rebuilt = part.launderer(crops[0].float() / 64 - 2) * 64 + 128
    torch.testing.assert_close(made[0].float(), rebuilt.clamp(0, 255), atol=0.51, rtol=0)
    untrained = LaunderingVotes(None, width=4).launderer.state_dict()
    assert untrained.keys() == AutoEncoder().state_dict().keys()


def test_genuine_clips_teach_what_is_laundered_and_forged_ones_what_is_synthetic() -> None:
    part = LaunderingVotes(None, patches=4, frames=2, width=4)
    crops = torch.randint(0, 255, (2, 2, 3, 112, 112), dtype=torch.uint8)
    targets, mask = torch.zeros(2, 2, 3), torch.ones(2, 2, dtype=torch.bool)
    targets[1, :, 0] = 1
    calls: list[torch.Tensor] = []
    answers = iter([torch.zeros(2, 2, 2), torch.full((2, 1, 2), 3.0)])
    part.scores = Mock(side_effect=lambda given: calls.append(given) or next(answers))
    logits, loss = part.learn({"appearance": crops}, targets, mask)
    assert torch.equal(calls[0], crops)
    assert torch.equal(calls[1], part.laundered(crops[:1]))
    assert float(logits.abs().sum()) == 0
    doubt, sure = torch.tensor([0.0, -3.0]).exp().add(1).log().tolist()
    assert float(loss) == pytest.approx(doubt + 2 * sure, abs=1e-5)


def test_the_launderer_is_not_trained_and_both_stages_are() -> None:
    part = LaunderingVotes(None, patches=4, frames=2, width=4)
    crops = torch.randint(0, 255, (2, 2, 3, 112, 112), dtype=torch.uint8)
    targets = torch.zeros(2, 2, 3)
    targets[1, :, 0] = 1
    part.learn({"appearance": crops}, targets, torch.ones(2, 2, dtype=torch.bool))[1].backward()
    moved = {n for n, p in part.named_parameters() if p.grad is not None and p.grad.any()}
    assert {name.split(".")[1] for name in moved} == {"0", "1"}
    assert not any(name.startswith("launderer") for name in moved)


def test_a_settled_part_says_an_origin_or_that_it_has_none() -> None:
    part = LaunderingVotes(None, patches=2, frames=2, width=4).eval()
    bright = {level: torch.full((1, 2, 3, 40, 40), level).byte() for level in (10, 100, 200)}
    part.laundered = Mock(return_value=bright[100])

    def by_brightness(crops: torch.Tensor) -> torch.Tensor:
        level = crops.float().mean()
        return torch.stack([level, -level])[:, None, None].expand(-1, 1, crops.shape[1])

    part.scores = Mock(side_effect=by_brightness)
    clips = [{"appearance": bright[level]} for level in (10, 200)]
    part.settle(clips * 3, [False, True] * 3)
    # the lowest of 100, 100, 100, 200, 200, 200 and the highest of 10, 10, 10: half way between
    assert part.levels.tolist() == [[55.0, 55.0], [-150.0, -150.0]]
    said = [part.describe({"appearance": bright[level]})["origin"] for level in (10, 100, 200)]
    assert said == ["real", "laundered", "synthetic"]
    assert part.describe(clips[0])["laundered rather than synthetic"] is None
    part.levels.copy_(torch.tensor([[0.0, 250.0], [-150.0, -150.0]]))
    assert part.describe(clips[0])["origin"] is None
    with pytest.raises(ValueError, match="risk"):
        LaunderingVotes(risk=0.7)
