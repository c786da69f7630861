"""Faces are counted in a whole picture and its parts, each once."""

from __future__ import annotations

import numpy as np
import pytest

from avdetect.example import example_frames
from extractors.clip import Array, Frames
from extractors.face_count import count_faces
from extractors.faces import FaceConfig, FaceTracker


def bright(picture: Frames) -> Array:
    """A detector of the white squares that a picture holds whole; of no more than two."""
    found = []
    for y, x in np.argwhere(picture[:, :, 0] == 255):  # the corner of each square
        if y + 10 <= picture.shape[0] and x + 10 <= picture.shape[1]:
            found.append((x, y, x + 10, y + 10))
    return np.array(found[:2], np.float32).reshape(-1, 4)


@pytest.mark.parametrize("places", [[], [(5, 5)], [(5, 5), (80, 80)], [(45, 45)],
                                    [(5, 5), (30, 5), (5, 80), (30, 80), (80, 5),
                                     (80, 80)]])  # fmt: skip
def test_every_face_counts_once_wherever_it_lies(places: list[tuple[int, int]]) -> None:
    frame = np.zeros((100, 100, 3), np.uint8)
    for y, x in places:
        frame[y, x] = 255
    assert count_faces(frame, bright) == len(places)


def test_a_crowd_of_drawn_faces_is_counted_also_where_more_might_be_followed() -> None:
    face = example_frames(0.04, size=(160, 160), scale=0.5)[0]
    crowd = np.concatenate([np.concatenate([face] * 3, axis=1)] * 2, axis=0)
    for most in (2, 12):
        tracker = FaceTracker(FaceConfig(max_faces=most))
        tracker.push(crowd[None], 0)
        tracker.close()
        assert tracker.counted == {0: 6}


def test_each_face_of_a_crowd_is_followed_where_so_many_are_asked_for() -> None:
    face = example_frames(0.04, size=(160, 160), scale=0.5)[0]
    crowd = np.concatenate([np.concatenate([face] * 4, axis=1)] * 2, axis=0)
    for most, followed in ((4, 4), (6, 6), (12, 8)):
        tracker = FaceTracker(FaceConfig(max_faces=most))
        tracker.push(np.stack([crowd] * 3), 0)
        tracker.close()
        boxes = [s.found[2][:, :2].mean(axis=0) // 160 for s in tracker.sightings]
        assert len({tuple(box) for box in boxes}) == len(tracker.sightings) == followed
