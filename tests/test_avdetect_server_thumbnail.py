"""The small picture of a clip: a frame of it, bounded in size; none of sound alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from avdetect.server.thumbnail import HEIGHT, write_thumbnail
from extractors.media import write_clip


def test_it_is_a_frame_of_the_clip_and_small(tmp_path: Path) -> None:
    frames = np.zeros((10, 120, 160, 3), np.uint8)
    frames[..., 0] = 200  # red
    write_clip(tmp_path / "a.mp4", frames, np.zeros(6400, np.float32))
    write_thumbnail(tmp_path / "a.mp4", tmp_path / "a.jpg")
    picture = cv2.imread(str(tmp_path / "a.jpg"))
    assert picture is not None
    assert picture.shape == (HEIGHT, HEIGHT * 4 // 3, 3)
    blue, green, red = picture.mean(axis=(0, 1))
    assert red > 150
    assert max(blue, green) < 50


def test_sound_alone_has_none(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.m4a", None, np.zeros(16000, np.float32))
    write_thumbnail(tmp_path / "a.m4a", tmp_path / "a.jpg")
    assert not (tmp_path / "a.jpg").exists()
