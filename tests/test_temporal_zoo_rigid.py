"""Noise sensitivity: its closed form for a linear encoder, and its settings."""

from __future__ import annotations

import pytest
import torch

from temporal.zoo.rigid import Rigid, disturbed, similarity


def test_a_linear_encoder_answers_noise_as_its_closed_form_says() -> None:
    weights, strength = torch.randn(64, 3 * 8 * 8), 0.02
    picture = torch.rand(1, 3, 8, 8)

    def encoder(x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ weights.T

    noise = torch.randn(4000, 3, 8, 8)
    noisy = disturbed(picture, noise, strength, as_levels=False)
    measured = float(similarity(encoder, picture.expand_as(noise), noisy).mean())
    q = strength**2 * float(weights.square().sum() / encoder(picture).square().sum())
    assert measured == pytest.approx(1 - (63 / 64) * q / 2, abs=3e-4)
    scaled = similarity(lambda x: 7 * encoder(x), picture.expand_as(noise), noisy).mean()
    assert measured == pytest.approx(float(scaled), abs=1e-6)


def test_no_noise_moves_nothing_and_more_noise_moves_more() -> None:
    crops = torch.randint(0, 255, (1, 6, 3, 48, 48), dtype=torch.uint8)
    with torch.inference_mode():
        moved = [
            float(Rigid(strength=s).eval()({"appearance": crops}).mean()) for s in (0.0, 0.05, 0.2)
        ]
    assert moved[0] == pytest.approx(0, abs=1e-6)
    assert moved[0] + 1e-6 < moved[1] < moved[2]


def test_noise_and_blur_are_chosen_between_and_shared_noise_is_the_same_at_every_step() -> None:
    crops = torch.randint(0, 255, (1, 1, 3, 48, 48), dtype=torch.uint8).expand(1, 3, -1, -1, -1)
    with torch.inference_mode():
        said = {
            way: Rigid(disturb=way).eval()({"appearance": crops})[0]
            for way in ("noise", "blur", "least")
        }
        apart = Rigid(shared=False).eval()({"appearance": crops})[0]
    torch.testing.assert_close(said["least"], torch.minimum(said["noise"], said["blur"]))
    assert float(said["noise"].std()) < 1e-6 < float(apart.std())
    with pytest.raises(ValueError, match="got 'paint'"):
        Rigid(disturb="paint")  # type: ignore[arg-type]


def test_steps_between_judged_ones_take_the_last_score() -> None:
    crops = torch.randint(0, 255, (1, 7, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        all_steps = Rigid().eval()({"appearance": crops})[0]
        some = Rigid(every=3).eval()({"appearance": crops})[0]
    torch.testing.assert_close(some, all_steps[[0, 0, 0, 3, 3, 3, 6]], atol=1e-5, rtol=1e-4)


def test_noisy_levels_are_those_of_a_file() -> None:
    noisy = disturbed(torch.rand(2, 3, 4, 4), torch.randn(2, 3, 4, 4), 0.5, as_levels=True)
    assert float(noisy.min()) >= 0
    assert float(noisy.max()) <= 1
    torch.testing.assert_close(noisy * 255, (noisy * 255).round())
