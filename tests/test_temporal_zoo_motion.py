"""L3DE's choices: the push term's closed forms, and what its norm of the flow makes invisible."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from temporal.zoo.motion import Motion, by_largest, push_loss


def circle(distance: float) -> torch.Tensor:
    """Return a unit vector (1, 2) at a distance from (1, 0)."""
    angle = 2 * math.asin(distance / 2)
    return torch.tensor([[math.cos(angle), math.sin(angle)]], dtype=torch.float64)


def test_the_push_is_one_where_a_forged_feature_is_a_genuine_one_and_then_pushes_nothing() -> None:
    genuine = circle(0)
    forged = circle(0).requires_grad_()
    loss = push_loss(forged, genuine)
    (gradient,) = torch.autograd.grad(loss, forged)
    assert float(loss.detach()) == pytest.approx(1.0)
    assert float(gradient.abs().max()) == pytest.approx(0.0, abs=1e-9)


def test_the_push_is_steepest_at_the_root_of_a_half() -> None:
    genuine, step = circle(0), 1e-5
    distances = torch.linspace(0.05, 1.95, 191, dtype=torch.float64)
    values = [float(push_loss(circle(float(d)), genuine)) for d in distances]
    assert values == pytest.approx([math.exp(-(float(d) ** 2)) for d in distances])
    slopes = [
        (float(push_loss(circle(float(d) + step), genuine))
         - float(push_loss(circle(float(d) - step), genuine))) / (2 * step)
        for d in distances[1:-1]
    ]  # fmt: skip
    steepest = min(range(len(slopes)), key=lambda i: slopes[i])
    assert float(distances[1:][steepest]) == pytest.approx(1 / math.sqrt(2), abs=0.01)
    assert -slopes[steepest] == pytest.approx(math.sqrt(2) * math.exp(-0.5), abs=1e-3)  # 0.858


def test_the_nearest_genuine_feature_pushes_whatever_its_length_and_nothing_without_a_pair() -> (
    None
):
    forged, genuine = torch.randn(5, 8), torch.randn(7, 8)
    unit = [functional.normalize(x, dim=1) for x in (forged, genuine)]
    expected = torch.exp(-(torch.cdist(*unit).amin(dim=1) ** 2)).mean()
    torch.testing.assert_close(push_loss(3 * forged, 10 * genuine), expected)
    assert float(push_loss(forged, genuine[:0])) == float(push_loss(forged[:0], genuine)) == 0.0


def test_with_its_norm_of_the_flow_threefold_speed_is_the_same_and_by_default_it_is_not() -> None:
    flow = torch.randn(1, 6, 2, 16, 16)
    scaled = by_largest(flow)
    assert float(scaled.min()) >= 0
    assert float(scaled.max()) <= 1
    radius = (scaled - 0.5).norm(dim=2).amax(dim=(2, 3))
    torch.testing.assert_close(radius, torch.full((1, 6), 0.5))
    said = {}
    for norm in ("l3de", "starter"):
        torch.manual_seed(0)
        part = Motion(flow_norm=norm).eval()
        with torch.inference_mode():
            said[norm] = [part({"flow": scale * flow}) for scale in (1, 3)]
    torch.testing.assert_close(*said["l3de"], atol=1e-5, rtol=1e-4)
    assert float((said["starter"][0] - said["starter"][1]).abs().max()) > 1e-3
    with pytest.raises(ValueError, match="'speed'"):
        Motion(flow_norm="speed")


def test_the_push_reaches_steps_of_known_truth_alone_and_leaves_the_logits_as_they_are() -> None:
    part = Motion(push=0.5).eval()
    flow = {"flow": torch.randn(3, 4, 2, 16, 16)}
    targets = torch.full((3, 4, 3), -1.0)
    mask = torch.ones(3, 4, dtype=torch.bool)
    assert float(part.learn(flow, targets, mask)[1].detach()) == 0
    targets[0, :, 0], targets[1, :2, 0] = 1, 0
    mask[1, 1] = False
    logits, loss = part.learn(flow, targets, mask)
    torch.testing.assert_close(logits, part(flow))
    tokens = part.tokens(flow["flow"])
    torch.testing.assert_close(loss, 0.5 * push_loss(tokens[0], tokens[1, :1]))
