"""Mean and spread of features around a step, and the rule on them."""

from __future__ import annotations

import torch

from temporal.opinions.encoder_features import EncoderFeaturesOpinion


def test_a_step_is_described_by_mean_and_spread_of_the_steps_around_it() -> None:
    opinion = EncoderFeaturesOpinion(2, 3, reach=2)
    features = torch.randn(1, 9, 2, 3)
    mask = torch.ones(1, 9, dtype=torch.bool)
    mask[0, 7:] = False
    found = opinion.describe(features, mask)
    assert found.shape == (1, 9, 12)
    for step, around in ((4, slice(2, 7)), (0, slice(0, 3)), (6, slice(4, 7))):
        near = features[0, around].flatten(1)
        expected = torch.cat([near.mean(dim=0), near.std(dim=0, correction=0)])
        torch.testing.assert_close(found[0, step], expected, atol=1e-5, rtol=1e-4)


def test_a_fitted_rule_tells_features_of_more_spread_apart() -> None:
    opinion = EncoderFeaturesOpinion(1, 4, reach=20)
    clips = [torch.randn(1, 20, 1, 4) * (1 + i % 2) for i in range(40)]
    mask = torch.ones(1, 20, dtype=torch.bool)
    found = torch.stack([opinion.describe(clip, mask)[0].mean(dim=0) for clip in clips])
    labels = torch.tensor([float(i % 2) for i in range(40)])
    opinion.fit(found, labels, torch.ones(40))
    held_out = [float(opinion(torch.randn(1, 20, 1, 4) * k, mask).mean()) for k in (1, 2)]
    assert held_out[0] < 0 < held_out[1]
