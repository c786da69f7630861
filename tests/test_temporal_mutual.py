"""Mutual scoring: rare artefacts stand out, common ones do not, and that is said."""

from __future__ import annotations

import pytest
import torch

from temporal.mutual import guard, mutual_scores, smoothed

CLIPS = 20


def corpus(anomalous: int) -> list[torch.Tensor]:
    """Clips of steps near a few common places; the first so many share one step far from all."""
    generator = torch.Generator().manual_seed(0)
    places = torch.randn(4, 16, generator=generator)
    odd = torch.randn(16, generator=generator) * 2
    clips = []
    for index in range(CLIPS):
        steps = places.repeat(6, 1) + 0.05 * torch.randn(24, 16, generator=generator)
        if index < anomalous:
            steps[10:15] = odd + 0.05 * torch.randn(5, 16, generator=generator)
        clips.append(steps)
    return clips


def test_a_rare_artefact_stands_out_at_its_steps() -> None:
    found = mutual_scores(corpus(1), rescored=(1,))
    assert int(found.scores.argmax()) == 0
    assert 10 <= int(found.curves[0].argmax()) < 15
    assert float(found.curves[0].max()) > 3 * float(found.curves[1].max())


def test_an_artefact_that_more_than_the_compared_share_has_goes_unseen_and_a_warning_says_so() -> (
    None
):
    rare, common = mutual_scores(corpus(2), (1,)), mutual_scores(corpus(8), (1,))
    assert rare.curves[0][10:15].max() > 3 * common.curves[0][10:15].max()
    assert common.common.tolist() == [True] * 8 + [False] * 12
    assert "8 of 20 share something peculiar" in (guard(8, 20) or "")
    assert int(common.peers[0]) == 7
    assert not rare.common.any()
    assert guard(0, 20) is None
    assert int(rare.peers[0]) == 1


def test_the_order_of_clips_changes_only_the_order_of_scores() -> None:
    clips, order = corpus(2), torch.randperm(CLIPS)
    scores, moved = mutual_scores(clips).scores, mutual_scores([clips[i] for i in order]).scores
    torch.testing.assert_close(moved, scores[order], atol=1e-5, rtol=1e-4)


def test_averaging_over_the_nearest_leaves_equal_scores_and_a_count_of_one_alone() -> None:
    clips = torch.randn(10, 8)
    torch.testing.assert_close(smoothed(torch.full((10,), 0.3), clips, (1, 2, 3)),
                               torch.full((10,), 0.3))  # fmt: skip
    scores = torch.rand(10)
    torch.testing.assert_close(smoothed(scores, clips, (1,)), scores)


def test_a_shift_and_a_scale_of_scores_pass_through_the_averages() -> None:
    clips, scores = torch.rand(10, 8), torch.rand(10)
    averaged = smoothed(scores, clips, (1, 2, 3))
    torch.testing.assert_close(smoothed(3 * scores + 2, clips, (1, 2, 3)), 3 * averaged + 2)


def test_it_says_how_far_it_is() -> None:
    told: list[tuple[int, int]] = []
    mutual_scores(corpus(1)[:4], on_step=lambda done, total: told.append((done, total)))
    assert told == [(done, 12) for done in range(1, 13)]


def test_two_clips_are_too_few() -> None:
    with pytest.raises(ValueError, match="expected 3 or more, got 2"):
        mutual_scores([torch.randn(5, 4)] * 2)


def test_of_a_corpus_that_comes_twice_a_lone_artefact_has_a_peer_and_falls_back() -> None:
    once, twice = mutual_scores(corpus(1), (1,)), mutual_scores(corpus(1) * 2, (1,))
    # six of 19 others are compared, then eleven of 39: of the artefact's, one is its own copy
    assert float(twice.curves[0].max()) < 0.95 * float(once.curves[0].max())
    torch.testing.assert_close(twice.scores[:CLIPS], twice.scores[CLIPS:])
    few = mutual_scores(corpus(1)[:3] * 2, (1,))  # one other is compared: the copy, and no more
    assert float(few.scores.max() - few.scores.min()) < 1e-4
