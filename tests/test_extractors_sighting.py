"""A sighting of a face: its landmarks between detections, and what it forgets."""

from __future__ import annotations

import numpy as np

from extractors.faces import LANDMARKS
from extractors.sighting import Sighting

MESH = np.random.default_rng(0).uniform(100, 300, (LANDMARKS, 3)).astype(np.float32)


def test_a_gap_of_detections_is_bridged_in_a_straight_line() -> None:
    sighting = Sighting(0)
    first, last = MESH, MESH + 40
    sighting.add(3, first, np.zeros(LANDMARKS, np.float32), 12)
    sighting.add(7, last, np.zeros(LANDMARKS, np.float32), 12)
    between = sighting.between(2, 9)
    np.testing.assert_allclose(between[0], first)  # held before the first
    np.testing.assert_allclose(between[3], first + 20, atol=1e-3)
    np.testing.assert_allclose(between[-1], last)


def test_forgotten_landmarks_do_not_change_later_ones() -> None:
    sighting = Sighting(0)
    for step in range(20):
        sighting.add(step, MESH + step, np.zeros(LANDMARKS, np.float32), 12)
    before = sighting.between(12, 20)
    sighting.forget(11)
    assert len(sighting.found) < 12
    np.testing.assert_array_equal(sighting.between(12, 20), before)
