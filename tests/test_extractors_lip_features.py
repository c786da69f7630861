"""The lip reader's stream: which part of a face it is shown, and when."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from drawn_encoders import av_hubert

from extractors.encoded_windows import EncodedWindows
from extractors.errors import InputError
from extractors.lip_encoder import LipEncoder, load_lip_encoder
from extractors.lip_features import LipFeatures, lip_features, lip_key, mouths_of
from extractors.streams import StreamConfig


def lips_at(x: float, y: float, steps: int) -> torch.Tensor:
    return torch.tensor([x, y, 0.0]).expand(steps, 40, 3).contiguous()


def test_the_mouth_is_in_the_middle_of_what_the_lip_reader_sees() -> None:
    face = torch.zeros(7, 3, 112, 112, dtype=torch.uint8)
    face[:, :, 82:86, 68:72] = 255  # a white spot around (70, 84): (0.125, 0.25) of the crop
    mouths = mouths_of(face, lips_at(0.125, 0.25, 7))
    assert mouths.shape == (7, 88, 88)
    rows, columns = torch.meshgrid(torch.arange(88.0), torch.arange(88.0), indexing="ij")
    mass = mouths[3] / mouths[3].sum()
    assert float((rows * mass).sum()) == pytest.approx(43.5, abs=0.1)
    assert float((columns * mass).sum()) == pytest.approx(43.5, abs=0.1)
    # 4 pixels of 112 are 4 / 112 / (0.5 * 88 / 96) of the side
    assert float(mouths[3].sum()) == pytest.approx((4 / 112 / (0.5 * 88 / 96) * 88) ** 2, rel=0.02)


def test_grey_is_the_standards_and_a_shaking_landmark_hardly_moves_the_crop() -> None:
    face = torch.tensor([255, 0, 0], dtype=torch.uint8)[:, None, None].expand(9, 3, 112, 112)
    assert torch.allclose(mouths_of(face, lips_at(0, 0.2, 9)), torch.tensor(0.299), atol=1e-4)
    ramp = torch.arange(112, dtype=torch.uint8).expand(9, 3, 112, 112)
    lips = lips_at(0, 0.2, 9)
    lips[4, :, 0] += 0.1
    moved = mouths_of(ramp, lips)[:, 44, 44] * 255
    assert float(moved[4] - moved[0]) == pytest.approx(0.1 * 112 / 5, abs=0.2)


def test_a_step_has_the_features_of_its_own_mouth_wherever_a_block_begins() -> None:
    class Means(torch.nn.Module):
        def forward(self, mouths: torch.Tensor) -> list[torch.Tensor]:
            return [mouths.mean(dim=(2, 3))[..., None]]

    network: torch.nn.Module = Means()
    encoder = LipEncoder(network, (1,), 1)  # type: ignore[arg-type]
    make = LipFeatures(EncodedWindows(encoder, "cpu", torch.float32, 2))
    faces = torch.arange(100, dtype=torch.uint8)[:, None, None, None].expand(100, 3, 112, 112)
    for start in (0, 17):
        features = make(start, faces, lips_at(0, 0, 100))
        assert features.shape == (100, 1, 1)
        expected = (torch.arange(100) / 255 - 0.421) / 0.165
        assert torch.allclose(features[:, 0, 0].float(), expected, atol=3e-3)


def test_the_stream_needs_a_lip_reader_and_is_told_apart_by_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"streams\.lip_encoder names its file"):
        lip_features(StreamConfig(added=("lip_features",)))
    one, other = (
        StreamConfig(lip_encoder=str(av_hubert(tmp_path / str(seed), seed)), lip_layers=(2,))
        for seed in (0, 1)
    )
    assert lip_key(one) != lip_key(other)


@pytest.mark.gpu
def test_cuda_gives_the_features_of_the_cpu(tmp_path: Path) -> None:
    faces = torch.randint(0, 256, (50, 3, 112, 112), dtype=torch.uint8)
    encoder = load_lip_encoder(av_hubert(tmp_path), (1, 3))
    here, there = (
        LipFeatures(EncodedWindows(encoder, device, torch.float32, 2))(0, faces, lips_at(0, 0, 50))
        for device in ("cpu", "cuda")
    )
    torch.testing.assert_close(there, here, rtol=0, atol=1e-2)
