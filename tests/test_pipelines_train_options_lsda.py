"""Latent augmentation: operators, mixing, persons, and what the student's loss reaches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from drawn_clips import drawn_batch, drawn_clips, tiny_probe
from torch import Tensor, nn
from torch.nn.functional import softplus

from pipelines.train.options.lsda import (
    OPERATORS,
    Lsda,
    LsdaConfig,
    centrifugal,
    mixed_with,
    partners,
    person_loss,
    towards_hardest,
    within_domain,
)


def latents(count: int = 50, width: int = 3) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_of_no_amount_is_the_identity(operator: object) -> None:
    z = latents()
    assert torch.equal(operator(z, torch.zeros(50, 1)), z)  # type: ignore[operator]


def test_going_outwards_keeps_the_mean_and_scales_the_covariance() -> None:
    z = latents()
    outward = centrifugal(z, torch.full((50, 1), 0.7))
    torch.testing.assert_close(outward.mean(dim=0), z.mean(dim=0), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(outward.T.cov(), 1.7**2 * z.T.cov(), atol=1e-5, rtol=1e-4)


def test_going_all_the_way_to_the_hardest_ends_there() -> None:
    z = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [9.0, 9.0]])
    assert torch.equal(towards_hardest(z, torch.ones(4, 1)), z[3:].expand(4, 2))
    assert within_domain(z[:1]).shape == (1, 2)


def test_mixing_with_itself_changes_nothing_and_shares_are_of_a_beta_distribution() -> None:
    z, share = latents(), torch.rand(50, 1)
    torch.testing.assert_close(mixed_with(z, torch.arange(50), share), z)
    assert torch.equal(mixed_with(z, torch.arange(49, -1, -1), torch.zeros(50, 1)), z.flip(0))
    for a, variance in ((0.5, 0.125), (1.0, 1 / 12), (2.0, 0.05)):
        beta = torch.distributions.Beta(torch.tensor(a), torch.tensor(a))
        assert float(beta.mean) == pytest.approx(0.5)
        assert float(beta.variance) == pytest.approx(variance)
        assert variance == pytest.approx(1 / (4 * (2 * a + 1)))


def test_a_latent_is_mixed_with_another_generator_s_of_its_original_if_there_is_one() -> None:
    torch.manual_seed(0)
    kinds, origins = torch.tensor([1, 2, 1, 2, 1]), torch.tensor([0, 0, 1, 1, 5])
    drawn = torch.stack([partners(kinds, origins) for _ in range(20)])
    assert bool((kinds[drawn] != kinds).all())
    assert (drawn[:, :4] == torch.tensor([1, 0, 3, 2])).float().mean() > 0.9
    assert torch.equal(partners(torch.ones(3).long(), origins[:3]), torch.arange(3))


def test_kept_persons_are_drawn_near_and_swapped_ones_pushed_away() -> None:
    z = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [0.0, 1.0]])
    kinds, origins = torch.tensor([0, 1, 2, 1]), torch.tensor([0, 0, 0, 7])
    keeps = torch.tensor([1.0, 1.0, -1.0])
    expected = ((1 - 0) - (1 - (-1))) / 2  # the last row has no original in the batch
    assert float(person_loss(z, kinds, origins, keeps)) == pytest.approx(expected)
    assert float(person_loss(z[1:3], kinds[1:3], origins[1:3], keeps)) == 0.0


def test_a_clip_is_joined_by_the_others_of_its_original() -> None:
    clips = drawn_clips(4)
    sibling = replace(clips[1].sample, method="dots", path=clips[0].sample.path.with_suffix(".b"))
    clips.append(type(clips[1])(sibling, clips[1].face, None))
    views = LsdaConfig().views(clips)
    assert [row for row, _ in views(0)] == [0, 1, 4]
    assert [row for row, _ in views(4)] == [4, 0, 1]
    assert [row for row, _ in LsdaConfig(companions=1).views(clips)(0)] == [0, 1]
    assert [row for row, _ in views(2)] == [2, 3]


def test_the_loss_of_the_steps_does_not_reach_the_teachers() -> None:
    torch.manual_seed(0)
    clips = drawn_clips(4, ("mel",))
    config = LsdaConfig()
    method = Lsda(tiny_probe("mel"), "audio", config, clips)
    batch = drawn_batch(config, clips, "mel")
    method.step_loss(method(batch.streams), batch).backward()
    assert all(p.grad is None for p in method.teachers.parameters())
    assert all(p.grad is None for p in method.fuse.parameters())
    method.zero_grad()
    method.loss(batch).backward()
    for part in (method.probe, method.teachers, method.fuse, method.domain):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


def test_the_student_alone_is_left_at_inference() -> None:
    clips = drawn_clips(4, ("mel",))
    method = Lsda(tiny_probe("mel"), "audio", LsdaConfig(), clips).eval()
    streams = drawn_batch(LsdaConfig(), clips, "mel").streams
    before = method(streams)
    for part in (method.teachers, method.fuse, method.domain):
        for parameter in part.parameters():
            parameter.data.zero_()
    assert torch.equal(method(streams), before)


def arcs_and_middle(seed: int, count: int) -> tuple[list[Tensor], Tensor]:
    """Four generators' latents on arcs of one half circle, and genuine ones (3n, 2) around 0."""
    chance = torch.Generator().manual_seed(seed)
    arcs = []
    for centre in (0, 45, 90, 135):
        angle = torch.deg2rad(centre + 30 * torch.rand(count, generator=chance) - 15)
        radius = 3 + 0.3 * torch.randn(count, generator=chance)
        arcs.append(torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1))
    return arcs, 0.8 * torch.randn(3 * count, 2, generator=chance)


def accuracy_without(left_out: int, seed: int, augmented: bool) -> float:
    """Balanced accuracy on an arc that a small network did not learn, and on genuine latents."""
    torch.manual_seed(seed)
    arcs, genuine = arcs_and_middle(seed, 80)
    known = [arc for place, arc in enumerate(arcs) if place != left_out]
    network = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1))
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    share = torch.distributions.Beta(torch.ones(240, 1), torch.ones(240, 1))
    for _ in range(150):
        forged = torch.cat(known)
        if augmented:
            mixed = mixed_with(forged, torch.randperm(240), share.sample())
            forged = torch.cat([forged, *map(within_domain, known), mixed])
        loss = softplus(-network(forged)).mean() + softplus(network(genuine)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    arcs, genuine = arcs_and_middle(seed + 100, 200)
    with torch.no_grad():
        found, kept = network(arcs[left_out]) > 0, network(genuine) < 0
    return float(found.float().mean() + kept.float().mean()) / 2


def test_on_arcs_a_generator_left_out_is_found_better_than_without_augmentation() -> None:
    cases = [(left_out, seed) for left_out in range(4) for seed in range(2)]
    plain, spread = (
        [accuracy_without(*case, augmented=augmented) for case in cases]
        for augmented in (False, True)
    )
    assert sum(spread) / len(cases) > sum(plain) / len(cases) + 0.03
