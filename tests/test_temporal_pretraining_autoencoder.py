"""The masked auto-encoder's parts: what an encoder of some patches sees, and whose errors count."""

from __future__ import annotations

from dataclasses import replace

import torch

from extractors.encoder import EncoderConfig, VisionTransformer
from temporal.pretraining.autoencoder import (
    Decoder,
    encoded,
    fitted,
    grid_waves,
    patch_errors,
    patch_pixels,
    start_anew,
)

CONFIG = EncoderConfig(
    "small", 32, 2, 64, 2, patch=4, image=16, activation="gelu", pre_norm=False, registers=2
)


def small(**changed: object) -> VisionTransformer:
    return start_anew(VisionTransformer(replace(CONFIG, **changed)))  # type: ignore[arg-type]


def test_one_who_sees_all_patches_is_the_encoder_itself() -> None:
    pictures = torch.rand(3, 3, 16, 16) * 255
    everything = torch.arange(16).expand(3, -1)
    for encoder in (small(), small(rotary=100.0)):
        tokens = encoded(encoder, encoder.embedded(pictures), everything)
        told = torch.cat([tokens[:, :1], tokens[:, 3:]], dim=1)  # registers are not told
        torch.testing.assert_close(told, encoder(pictures, [2])[0])


def test_what_is_not_seen_changes_nothing_and_the_order_of_patches_neither() -> None:
    for encoder in (small(), small(rotary=100.0)):
        pictures = torch.rand(1, 3, 16, 16) * 255
        seen = torch.tensor([[0, 3, 9]])
        tokens = encoded(encoder, encoder.embedded(pictures), seen)
        other = pictures.clone()
        other[:, :, 12:] = 0  # patches 12 to 15
        torch.testing.assert_close(encoded(encoder, encoder.embedded(other), seen), tokens)
        turned = encoded(encoder, encoder.embedded(pictures), seen.flip(1))
        torch.testing.assert_close(turned[:, 3:].flip(1), tokens[:, 3:])


def test_only_the_wanted_patches_errors_count() -> None:
    told, pixels = torch.rand(2, 3, 48), torch.rand(2, 16, 48)
    wanted = torch.tensor([[1, 4, 6], [0, 2, 15]])
    errors = patch_errors(told, pixels, wanted)
    assert errors.shape == (2, 3)
    torch.testing.assert_close(errors[0, 1], (told[0, 1] - pixels[0, 4]).square().mean())
    pixels[0, 5] += 9  # seen
    assert torch.equal(patch_errors(told, pixels, wanted), errors)
    pixels[0, 4] += 9
    assert patch_errors(told, pixels, wanted)[0, 1] > errors[0, 1] + 1


def test_pixels_of_a_patch_are_standardised_and_lie_where_the_encoder_embeds_them() -> None:
    pictures = torch.rand(2, 3, 16, 16) * 255
    pixels = patch_pixels(pictures, 4)
    assert pixels.shape == (2, 16, 48)
    torch.testing.assert_close(pixels.mean(dim=2), torch.zeros(2, 16), atol=1e-5, rtol=0)
    torch.testing.assert_close(pixels.square().mean(dim=2), torch.ones(2, 16), atol=1e-3, rtol=0)
    own = pictures[0, :, 4:8, 8:12].flatten()  # patch 1 · 4 + 2
    torch.testing.assert_close(pixels[0, 6], (own - own.mean()) / own.std(correction=0),
                               atol=1e-3, rtol=0)  # fmt: skip
    assert not patch_pixels(torch.full((1, 3, 16, 16), 80.0), 4).any()


def test_the_decoder_tells_wanted_patches_by_place_not_by_order() -> None:
    decoder = Decoder(CONFIG, 1, 32, 1)
    tokens, seen = torch.rand(1, 3 + 2, 32), torch.tensor([[4, 7]])
    told = decoder(tokens, seen, torch.tensor([[1, 2, 3]]))
    assert told.shape == (1, 3 + 2 + 3, 32)
    turned = decoder(tokens, seen, torch.tensor([[3, 1, 2]]))
    torch.testing.assert_close(turned[:, [-2, -1, -3]], told[:, -3:])
    assert not torch.allclose(told[:, -1], told[:, -2])


def test_positions_differ_over_space_and_time_and_a_single_step_has_none_of_time() -> None:
    still, moving = grid_waves(1, 3, 16), grid_waves(4, 3, 16)
    assert torch.equal(moving[:9], still)
    assert len(moving.unique(dim=0)) == 36


def test_pictures_of_another_size_are_fitted() -> None:
    assert fitted(torch.zeros(2, 3, 112, 112, dtype=torch.uint8), 64).shape == (2, 3, 64, 64)
    same = torch.rand(1, 3, 64, 64)
    assert fitted(same, 64) is same
