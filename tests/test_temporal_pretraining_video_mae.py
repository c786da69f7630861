"""VideoMAE V2: tubelets that a picture encoder can read, and what motion costs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from extractors.encoder import VisionTransformer
from pipelines.pretrain.recipe import NetworkConfig
from temporal.pretraining.autoencoder import start_anew
from temporal.pretraining.video_mae import VideoMae

TINY = NetworkConfig(width=32, heads=2, layers=1, patch=8, image=32)


def tiny(frames: int, hidden: float = 0.9) -> VideoMae:
    return VideoMae(start_anew(VisionTransformer(TINY.encoder)), frames, hidden, 32, 1)


def seed(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


WAVE = (127 + 100 * (torch.arange(32) * math.pi / 8).sin()).expand(3, 32, 32)
STRIPES = torch.stack([WAVE, WAVE.transpose(1, 2)])


def turning(count: int) -> Tensor:
    """Clips (B, 8, 3, 32, 32) of stripes, upright or level, that turn once."""
    before, at = torch.randint(2, (count, 1)), torch.randint(1, 8, (count, 1))
    return STRIPES[(before + (torch.arange(8) >= at)) % 2]


def test_any_linear_embedding_of_two_frames_is_that_of_their_mean_and_their_change() -> None:
    module = tiny(frames=2)
    encoder = module.encoder
    torch.nn.init.normal_(module.change.weight)
    crops = torch.rand(2, 1, 2, 3, 32, 32) * 255
    first = encoder.embed.weight / 2 / encoder.deviation - module.change.weight
    second = encoder.embed.weight / 2 / encoder.deviation + module.change.weight
    tubelet = torch.stack([first, second], dim=2) / 255  # of a three-dimensional convolution
    bias = encoder.embed.bias - (encoder.embed.weight * encoder.mean / encoder.deviation).sum(
        dim=(1, 2, 3)
    )
    volume = functional.conv3d(crops[:, 0].transpose(1, 2), tubelet, bias, stride=(2, 8, 8))
    wanted = volume.flatten(2).transpose(1, 2) + encoder.positions[1:]
    torch.testing.assert_close(module.embedded(crops)[:, 1:], wanted, atol=1e-3, rtol=1e-3)


def test_a_still_picture_is_to_it_what_it_is_to_the_encoder() -> None:
    module = tiny(frames=2)
    torch.nn.init.normal_(module.change.weight)
    picture = torch.rand(1, 3, 32, 32) * 255
    pair = picture[:, None, None].expand(1, 1, 2, 3, 32, 32)
    torch.testing.assert_close(module.embedded(pair), module.encoder.embedded(picture))


def test_a_static_video_is_reconstructed_better_than_one_whose_frames_are_shuffled() -> None:
    module = tiny(frames=8, hidden=0.75)
    optimizer = torch.optim.AdamW(module.parameters(), 3e-3)
    for step in range(120):
        loss = module({"appearance": turning(8)}, seed(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.75
    clips = turning(32)
    shuffled = torch.stack([clip[torch.randperm(8)] for clip in clips])
    static = clips[:, :1].expand_as(clips)
    with torch.no_grad():
        still, mixed = (
            float(module.eval()({"appearance": x}, seed(7))) for x in (static, shuffled)
        )
    assert still < mixed - 0.1


def test_frames_are_taken_as_far_apart_as_the_chunk_allows() -> None:
    module = tiny(frames=4).eval()
    chunk = torch.rand(1, 10, 3, 32, 32) * 255
    loss = float(module({"appearance": chunk}, seed()))
    chosen = chunk[:, [0, 3, 6, 9]]
    assert float(module({"appearance": chosen}, seed())) == loss


def test_an_odd_number_of_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        tiny(frames=5)
