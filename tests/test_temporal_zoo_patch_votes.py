"""Votes of patches: the known bias of the highest, and that a trace is found by them."""

from __future__ import annotations

from statistics import NormalDist

import pytest
import torch

from temporal.zoo.patch_votes import PatchVotes, mean_of_highest


def test_the_mean_of_the_highest_600_of_800_patches_of_noise_has_the_known_bias() -> None:
    normal = NormalDist()
    expected = normal.pdf(normal.inv_cdf(0.25)) / 0.75
    assert expected == pytest.approx(0.4237, abs=1e-4)
    noise = torch.randn(2000, 800)
    assert float(mean_of_highest(noise, 600 / 800).mean()) == pytest.approx(expected, abs=0.005)


def test_all_votes_give_the_plain_mean_and_at_least_one_counts() -> None:
    votes = torch.tensor([[1.0, 5.0, 3.0], [0.0, -1.0, -5.0]])
    assert mean_of_highest(votes, 1.0).tolist() == [3.0, -2.0]
    assert mean_of_highest(votes, 0.01).tolist() == [5.0, 0.0]
    assert mean_of_highest(votes, 2 / 3).tolist() == [4.0, -0.5]
    with pytest.raises(ValueError, match=r"got 1\.5"):
        PatchVotes(share=1.5)


def test_a_group_has_one_logit_that_its_patches_votes_give() -> None:
    part = PatchVotes(patches=4, frames=3, width=4).eval()
    crops = torch.randint(0, 255, (2, 5, 3, 48, 48), dtype=torch.uint8)
    with torch.inference_mode():
        logits = part({"appearance": crops})
        alone = part({"appearance": crops[:1, :3]})
    assert logits.shape == (2, 5)
    assert [len(set(row.tolist())) for row in (logits[0, :3], logits[0, 3:], logits[0])] == [
        1,
        1,
        2,
    ]
    torch.testing.assert_close(alone, logits[:1, :3])
