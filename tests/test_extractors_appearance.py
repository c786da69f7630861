"""Crops of the face where it lies, and whole frames where there is none."""

from __future__ import annotations

import numpy as np

from extractors.appearance import SIDE, face_crops, scene_crops


def test_a_scene_is_the_whole_frame_squeezed() -> None:
    frame = np.zeros((240, 320, 3), np.uint8)
    frame[:120, :160], frame[120:, 160:] = 100, 200
    (scene,) = scene_crops([frame])
    half = SIDE // 2
    assert scene.shape == (SIDE, SIDE, 3)
    assert (scene[:half, :half] == 100).all()
    assert (scene[half:, half:] == 200).all()
    assert (scene[half:, :half] == 0).all()


def test_each_frame_is_cropped_by_its_own_square() -> None:
    frames = np.zeros((2, 200, 200, 3), np.uint8)
    frames[0, 20:80, 30:90], frames[1, 120:180, 100:160] = 255, 255
    squares = np.array([[60, 50, 60, 0], [130, 150, 60, 0]], np.float32)
    crops = face_crops(list(frames), squares)
    assert crops.shape == (2, SIDE, SIDE, 3)
    assert crops[:, 3:-3, 3:-3].min() > 250
    swapped = face_crops(list(frames), squares[::-1])
    assert swapped[:, 3:-3, 3:-3].max() < 5
