"""Face tracks: identities, gaps, and crops that hold still."""

from __future__ import annotations

import numpy as np
import pytest

from avdetect.example import example_frames
from extractors.crops import crop_square, crop_squares, face_coordinates
from extractors.faces import (
    LANDMARKS,
    FaceConfig,
    FaceTracker,
    mesh_triangles,
    track_faces,
)
from extractors.lips import LIPS

CONFIG = FaceConfig()


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    return example_frames(1.0)


def mesh(seed: int = 0) -> np.ndarray:
    """A made-up face (478, 3): 200 pixels wide, eyes level, somewhere in a frame."""
    points = np.random.default_rng(seed).uniform(-100, 100, (LANDMARKS, 3)).astype(np.float32)
    points[33], points[263] = (-60, -30, 0), (60, -30, 0)
    return points + np.array([320, 240, 0], np.float32)


def test_a_drawn_face_is_one_track_over_all_frames(drawn: np.ndarray) -> None:
    tracks = track_faces(drawn)
    assert [(t.track, t.start, len(t.landmarks)) for t in tracks] == [(0, 0, len(drawn))]
    x, y = tracks[0].landmarks[0, LIPS, :2].mean(axis=0)
    assert drawn.shape[2] * 0.3 < x < drawn.shape[2] * 0.7
    assert y > tracks[0].landmarks[0, 33, 1]  # the mouth is below the eye


def test_two_faces_keep_their_identities_when_one_leaves(drawn: np.ndarray) -> None:
    frames = drawn[:20]
    dark = (frames.astype(np.float32)[:, :, ::-1] * 0.55 + 20).astype(np.uint8)
    both = np.concatenate([frames, dark], axis=2)
    both[10:, :, : frames.shape[2]] = 0  # the left face leaves
    tracks = sorted(track_faces(both), key=lambda t: t.landmarks[0, :, 0].mean())
    assert [len(t.landmarks) for t in tracks] == [10, 20]
    right = tracks[1].landmarks[:, :, 0].mean(axis=1)
    assert right.min() > frames.shape[2]  # it never became the other one


def test_a_turned_and_shifted_face_lies_alike_in_its_crop() -> None:
    face = mesh()
    angle, scale = np.radians(25), 1.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    other = face * scale
    other[:, :2] = face[:, :2] @ turn.T * scale + (50, -80)
    coordinates = []
    for landmarks in (face, other):
        still = np.repeat(landmarks[None].astype(np.float32), 2 * CONFIG.radius + 1, axis=0)
        squares = crop_squares(still, CONFIG)
        coordinates.append(face_coordinates(landmarks[None].astype(np.float32), squares)[0])
    np.testing.assert_allclose(coordinates[0], coordinates[1], atol=1e-4)
    eyes = coordinates[1][[33, 263]]
    assert eyes[0, 1] == pytest.approx(eyes[1, 1], abs=1e-4)  # level


def test_jitter_of_landmarks_hardly_moves_the_crop() -> None:
    rng = np.random.default_rng(1)
    steps = 60 + 2 * CONFIG.radius
    jitter = rng.normal(0, 2.0, (steps, 1, 2))  # the whole face shakes by two pixels
    landmarks = np.repeat(mesh()[None], steps, axis=0)
    landmarks[..., :2] += jitter
    squares = crop_squares(landmarks, CONFIG)
    assert squares[:, :2].std(axis=0).max() < 1.0
    assert np.abs(np.diff(squares[:, :2], axis=0)).mean() < 0.5


@pytest.mark.parametrize("side", [64.0, 112.0, 450.0])
def test_a_crop_shows_its_square_to_a_tenth_of_a_pixel(side: float) -> None:
    y, x = np.mgrid[0:720, 0:1280].astype(np.float32)
    frame = np.stack([x / 1280 * 255, y / 720 * 255, x * 0], axis=-1).astype(np.uint8)
    square = np.array([640.0, 360.0, side, 0.0], np.float32)
    crop = crop_square(frame, square, (112, 112)).astype(np.float64)
    left = (640 - side / 2 + side / 112 / 2 - 0.5) / 1280 * 255
    assert crop[:, 0, 0].mean() == pytest.approx(left, abs=1.0)
    assert crop[..., 0].mean() == pytest.approx(639.5 / 1280 * 255, abs=0.6)
    assert crop[..., 1].mean() == pytest.approx(359.5 / 720 * 255, abs=0.6)


def test_a_crop_beyond_the_frame_is_still_a_crop() -> None:
    frame = np.full((100, 100, 3), 7, np.uint8)
    for x, y in ((-500.0, 50.0), (50.0, 5000.0), (99.0, 99.0)):
        crop = crop_square(frame, np.array([x, y, 80.0, 0.3], np.float32), (48, 96))
        assert crop.shape == (48, 96, 3)


def test_the_mesh_has_the_triangles_of_its_edges() -> None:
    triangles = mesh_triangles()
    # Euler: the face mesh is a disc with the openings of eyes and mouth closed or not
    assert triangles.shape[1] == 3
    assert 800 < len(triangles) < 960
    assert triangles.max() == 467


def test_a_tracker_starts_anew_after_reset(drawn: np.ndarray) -> None:
    tracker = FaceTracker()
    tracker.push(drawn[:8], 0)
    tracker.reset()
    tracker.push(drawn[:8], 0)
    assert [s.track for s in tracker.sightings] == [0]
