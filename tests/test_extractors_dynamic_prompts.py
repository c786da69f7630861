"""Dynamic prompts: nothing at first, of what is seen afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from extractors.dynamic_prompts import DynamicPrompts
from extractors.encoder import EncoderConfig, VisionTransformer
from extractors.encoder_file import load_encoder, save_encoder

CONFIG = EncoderConfig("small", 64, 4, 128, 3, patch=4, image=16, pre_norm=False)


def random(config: EncoderConfig) -> VisionTransformer:
    encoder = VisionTransformer(config)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return encoder


def test_at_first_the_encoder_is_the_one_without() -> None:
    plain = random(CONFIG)
    prompted = VisionTransformer(replace(CONFIG, prompts=6))
    prompted.load_state_dict(plain.state_dict(), strict=False)
    pictures = torch.rand(2, 3, 16, 16) * 255
    for one, other in zip(plain(pictures, [1, 3]), prompted(pictures, [1, 3]), strict=True):
        assert torch.equal(one, other)


def test_prompts_differ_from_picture_to_picture_and_static_ones_do_not() -> None:
    module = DynamicPrompts(64, 6)
    tokens = torch.randn(2, 17, 64)
    found = module.found(tokens)
    assert found.shape == (2, 6, 8)
    assert not torch.allclose(found[0], found[1], atol=1e-3)
    static = module.questions.expand(2, -1, -1)  # what a prompt is that sees nothing
    assert torch.equal(static[0], static[1])


def test_they_are_a_two_hundredth_of_an_encoder_of_the_shipped_size() -> None:
    shipped = EncoderConfig()
    whole = 12 * shipped.width**2 * shipped.layers
    added = sum(p.numel() for p in DynamicPrompts(shipped.width, 8).parameters())
    assert added < 0.005 * whole


def test_a_file_keeps_them(tmp_path: Path) -> None:
    encoder = random(replace(CONFIG, prompts=6))
    save_encoder(tmp_path / "e.safetensors", encoder.config, encoder.state_dict())
    again = load_encoder(tmp_path / "e.safetensors")
    pictures = torch.rand(2, 3, 16, 16) * 255
    assert torch.equal(again(pictures, [3])[0], encoder(pictures, [3])[0])
    assert again.config.prompts == 6
