"""Boundary matching: what is sampled for an interval, and what is proposed."""

from __future__ import annotations

import pytest
import torch

from pipelines.zoo.step_table import Proposer, proposal_rows, segment_rows
from temporal.zoo.boundary_losses import targets_of_runs
from temporal.zoo.boundary_matching import BoundaryMatching, map_losses, sampling_mask

STEPS, POINTS = 40, 8


@pytest.fixture(scope="module")
def mask() -> torch.Tensor:
    return sampling_mask(STEPS, POINTS)


def inner() -> torch.Tensor:
    """Intervals by start and last step whose extension lies inside the sequence."""
    start = torch.arange(STEPS)
    length = start[None] + 1 - start[:, None]
    low, high = start[:, None] - length / 2, start[None] + 1 + length / 2
    return (length > 0) & (low >= 0.5) & (high <= STEPS - 0.5)


def test_each_sample_of_an_inner_interval_weighs_one_and_nothing_is_sampled_backwards(
    mask: torch.Tensor,
) -> None:
    assert mask.shape == (STEPS, POINTS, STEPS, STEPS)
    weights = mask.sum(dim=0)[:, inner()]
    torch.testing.assert_close(weights, torch.ones_like(weights))
    assert float(mask.movedim((2, 3), (0, 1)).flatten(2).sum(dim=2).tril(-1).sum()) == 0.0
    assert float(mask.min()) >= 0.0


def test_a_ramp_is_sampled_evenly_about_the_middle_of_an_interval(mask: torch.Tensor) -> None:
    ramp = torch.arange(STEPS) + 0.5  # the time of each step's middle
    sampled = torch.einsum("t,tnse->nse", ramp, mask)
    start = torch.arange(STEPS)
    middle = (start[:, None] + start[None] + 1) / 2
    torch.testing.assert_close(sampled.mean(dim=0)[inner()], middle[inner()])
    # [16, 24) is extended to [12, 28): eight points, two steps apart
    points = sampled[:, 16, 23]
    torch.testing.assert_close(points, torch.arange(13.0, 28.0, 2.0))
    hundred = sampling_mask(100, 2)
    ramp = torch.arange(100) + 0.5
    assert float((ramp[:, None] * hundred[:, :, 40, 59]).sum() / 2) == pytest.approx(50.0)


def test_a_step_has_the_score_of_the_best_interval_that_covers_it() -> None:
    part = BoundaryMatching(4, (0,), steps=12, points=2, width=8, deep=4).eval()
    drawn = torch.rand(1, 12, 12).triu()
    part.scores = lambda boundaries, maps: drawn  # type: ignore[method-assign]
    tokens = torch.randn(1, 12, 1, 4)
    found = part({"tokens": tokens}).sigmoid()[0]
    expected = [float(drawn[0, : t + 1, t:].max()) for t in range(12)]
    assert found.tolist() == pytest.approx(expected, abs=1e-4)


def test_scores_are_products_of_boundaries_and_maps_and_candidates_are_peaks() -> None:
    part = BoundaryMatching(4, (0,), steps=10, points=2, width=8, deep=4)
    boundaries, maps = torch.full((1, 2, 10), -3.0), torch.zeros(1, 2, 10, 10)
    boundaries[0, 0, [2, 7]], boundaries[0, 1, 4] = torch.tensor([3.0, 1.0]), 2.0
    scores = part.scores(boundaries, maps)
    p = torch.tensor([3.0, 2.0]).sigmoid().prod()
    assert float(scores[0, 2, 4]) == pytest.approx(float(p) / 4)
    assert float(scores[0, 7, 4]) == 0.0
    part.maps = lambda tokens: (boundaries, maps)  # type: ignore[method-assign]
    candidates = part.proposals({"tokens": torch.zeros(1, 20, 1, 4)})
    assert isinstance(part, Proposer)
    assert candidates[:, 1:].tolist() == [[4.0, 10.0]]  # of 20 steps; ends before a start are none
    assert proposal_rows(candidates, 1.0) == [
        [pytest.approx(float(p) / 4), pytest.approx(1.16), pytest.approx(1.4)]
    ]


def test_the_loss_of_right_maps_is_small_and_that_of_no_opinion_known() -> None:
    forged = torch.zeros(2, 24, dtype=torch.bool)
    forged[0, 6:14] = forged[1, 3:9] = True
    truth = targets_of_runs(forged, 24)
    sure = 16.0
    right = torch.stack([(truth.start > 0.5), (truth.end > 0.5)], dim=1).float() * 2 * sure - sure
    overlaps = truth.overlap.clamp(1e-6, 1 - 1e-6).logit()
    maps = torch.stack([(truth.overlap > 0.9).float() * 2 * sure - sure, overlaps], dim=1)
    assert float(map_losses(right, maps, truth)) < 1e-3
    blank = map_losses(torch.zeros_like(right), torch.zeros_like(maps), truth)
    entropy = 3 * torch.tensor(2.0).log()
    assert float(blank) > float(entropy)


def test_it_learns_to_propose_where_tokens_were_changed_beside_runs_of_the_same_curve() -> None:
    part = BoundaryMatching(6, (0,), steps=24, points=4, width=24, deep=12)
    optimizer = torch.optim.Adam(part.parameters(), lr=4e-3)

    def drawn(clips: int) -> tuple[torch.Tensor, torch.Tensor]:
        tokens, targets = torch.randn(clips, 24, 1, 6), torch.zeros(clips, 24, 3)
        for clip, truth in zip(tokens, targets, strict=True):
            start = int(torch.randint(0, 14, ()))
            steps = slice(start, start + 4 + int(torch.randint(0, 6, ())))
            clip[steps, 0, :3] += 3.0
            truth[steps, 1] = 1
        return tokens, targets

    for _ in range(100):
        tokens, targets = drawn(16)
        mask = torch.ones(16, 24, dtype=torch.bool)
        loss = part.learn({"tokens": tokens}, targets, mask)[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    part.eval()
    tokens, targets = drawn(12)
    own, runs = [], []
    with torch.inference_mode():
        for clip, truth in zip(tokens, targets[..., 1], strict=True):
            streams = {"tokens": clip[None]}
            steps = torch.nonzero(truth)[:, 0]
            wanted = (float(steps[0]) / 25, float(steps[-1] + 1) / 25)
            for rows, overlaps in (
                (proposal_rows(part.proposals(streams), 0.0), own),
                (segment_rows(part(streams)[0], 0.0), runs),
            ):
                overlaps.append(overlap(rows[0][1:], wanted) if rows else 0.0)
    assert sum(own) / len(own) > 0.7
    assert sum(runs) / len(runs) > 0.4


def overlap(one: list[float], other: tuple[float, float]) -> float:
    """Return intersection over union of two intervals."""
    shared = max(min(one[1], other[1]) - max(one[0], other[0]), 0.0)
    return shared / (one[1] - one[0] + other[1] - other[0] - shared)
