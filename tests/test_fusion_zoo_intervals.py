"""Intervals as start and end: overlaps in closed form, the loss, and a head that learns them."""

from __future__ import annotations

import pytest
import torch

from fusion.zoo.intervals import (
    IntervalHead,
    ends_of,
    generalised_iou,
    hull_of,
    interval_loss,
)


def of(one: list[float], other: list[float]) -> float:
    return float(generalised_iou(torch.tensor([one]).float(), torch.tensor([other]).float()))


def test_the_generalised_overlap_is_known_by_hand() -> None:
    assert of([0, 1], [2, 3]) == pytest.approx(-1 / 3)
    assert of([0.2, 0.7], [0.2, 0.7]) == 1.0
    assert of([0, 4], [1, 2]) == pytest.approx(0.25)  # inside: the plain overlap
    assert of([0, 2], [1, 3]) == pytest.approx(1 / 3)
    assert of([0, 1e-3], [999, 1000]) == pytest.approx(-1, abs=2e-3)
    assert of([0.5, 0.5], [0.5, 0.5]) == 0.0  # nothing: neither overlap nor distance


def test_overlaps_of_any_intervals_lie_in_their_range_and_know_no_order() -> None:
    one, other = (torch.rand(500, 2).sort(dim=1).values for _ in range(2))
    found = generalised_iou(one, other)
    assert bool(((found > -1) & (found <= 1)).all())
    torch.testing.assert_close(found, generalised_iou(other, one))
    shared = (torch.minimum(one, other)[:, 1] - torch.maximum(one, other)[:, 0]).clamp(min=0)
    union = (one.diff(dim=1) + other.diff(dim=1))[:, 0] - shared
    touching = shared > 0  # their hull is their union
    torch.testing.assert_close(found[touching], (shared / union)[touching], atol=1e-5, rtol=1e-5)


def test_the_loss_is_nothing_where_all_is_right_and_counts_given_intervals_alone() -> None:
    truth = torch.tensor([[0.1, 0.4], [0.0, 1.0], [0.0, 0.0]])
    given = torch.tensor([True, True, False])
    assert float(interval_loss(truth, truth, given)) == pytest.approx(0, abs=1e-6)
    found = torch.tensor([[0.4, 0.7], [0.0, 1.0], [0.3, 0.9]])
    assert float(interval_loss(found, truth, given)) == pytest.approx((0.6 + 1) / 2, abs=1e-6)
    assert float(interval_loss(found, truth, torch.zeros(3, dtype=torch.bool))) == 0.0


def test_hulls_and_ends_are_shares_of_the_steps() -> None:
    forged = torch.zeros(3, 10, dtype=torch.bool)
    forged[0, [2, 5]] = True
    forged[1, 9] = True
    mask = torch.ones(3, 10, dtype=torch.bool)
    mask[1, 9] = False
    hulls, given = hull_of(forged, mask)
    assert given.tolist() == [True, False, False]
    torch.testing.assert_close(hulls[0], torch.tensor([0.2, 0.6]))
    ends = ends_of(torch.tensor([[0.5, 0.4], [0.1, 0.6]]))
    torch.testing.assert_close(ends, torch.tensor([[0.3, 0.7], [0.0, 0.4]]))


def test_the_head_learns_where_tokens_were_changed() -> None:
    head = IntervalHead(8)
    optimizer = torch.optim.Adam(head.parameters(), lr=5e-3)

    def drawn(clips: int) -> tuple[torch.Tensor, torch.Tensor]:
        tokens, forged = torch.randn(clips, 32, 8), torch.zeros(clips, 32, dtype=torch.bool)
        for clip, steps in zip(tokens, forged, strict=True):
            start = int(torch.randint(0, 20, ()))
            part = slice(start, start + 6 + int(torch.randint(0, 6, ())))
            clip[part, :4] += 3.0
            steps[part] = True
        return tokens, forged

    mask = torch.ones(16, 32, dtype=torch.bool)
    for _ in range(150):
        tokens, forged = drawn(16)
        loss = interval_loss(head(tokens, mask), *hull_of(forged, mask))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    tokens, forged = drawn(16)
    with torch.inference_mode():
        found = generalised_iou(head(tokens, mask), hull_of(forged, mask)[0])
    assert float(found.mean()) > 0.5
