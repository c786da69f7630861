"""The peers' steps look at every frame, and hear the whole sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avdetect.commands import benchmark_peers
from avdetect.commands.benchmark_peers import frame_network_steps, lip_sync_steps
from avdetect.example import example_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    example_clip(path, 1.0)
    return path


def test_lip_sync_takes_a_crop_a_frame_and_100_columns_a_second(clip: Path) -> None:
    crops, columns = lip_sync_steps(clip)
    assert crops == 25
    assert columns == pytest.approx(101, abs=7)  # AAC fills up its last frame


def test_the_network_judges_every_frame(clip: Path) -> None:
    assert frame_network_steps(clip) == 25


def test_a_crop_is_of_the_face_and_without_one_of_the_frame() -> None:
    frame = np.zeros((100, 200, 3), np.uint8)
    frame[20:60, 50:90] = 255
    box = np.array([[50.0, 20.0, 90.0, 60.0]], np.float32)
    assert benchmark_peers._crop(frame, box).min() == 255
    whole = benchmark_peers._crop(frame, np.zeros((0, 4), np.float32))
    assert whole.mean() == pytest.approx(255 * 1600 / 20000, rel=0.1)
