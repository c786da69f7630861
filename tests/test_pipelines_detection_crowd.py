"""Faces beyond those that are judged are counted, and said."""

from __future__ import annotations

import torch
from drawn_timelines import timeline

from pipelines.detection.crowd import crowd_of
from pipelines.detection.notes import Notes


def test_where_all_are_judged_the_moment_with_most_faces_is_told_without_a_warning() -> None:
    faces = [timeline((0, 0, 0), track=0), timeline((0, 0, 0), 25, start=50, track=1)]
    notes = Notes()
    assert crowd_of(faces, faces, notes) == {"seen": 2, "judged": 2, "time": 2.0}
    assert notes.warnings == []


def test_faces_that_were_counted_and_not_followed_are_left_out() -> None:
    counted = torch.zeros(100)
    counted[75] = 9.0
    faces = [timeline((0, 0, 0), track=i, seen=counted if i == 1 else 0.0) for i in range(4)]
    notes = Notes()
    assert crowd_of(faces, faces, notes) == {"seen": 9, "judged": 4, "time": 3.0}
    assert notes.warnings == [
        "9 faces were seen at once, of which 4 were judged: the setting faces.max_faces decides "
        "how many are followed, and small ones among many may not be found"
    ]


def test_a_face_too_small_to_be_judged_is_seen_nevertheless() -> None:
    faces = [timeline((0, 0, 0), track=0), timeline((0, 0, 0), 50, start=50, track=1, size=20.0)]
    notes = Notes()
    assert crowd_of(faces, faces[:1], notes) == {"seen": 2, "judged": 1, "time": 2.0}
    assert notes.warnings[0].endswith("the others are too small, or seen too briefly")


def test_without_faces_there_is_no_crowd() -> None:
    assert crowd_of([], [], Notes()) == {"seen": 0, "judged": 0, "time": 0.0}
