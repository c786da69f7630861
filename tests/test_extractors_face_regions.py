"""Regions of a drawn face: what lies where it was drawn."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from extractors.face_regions import CHOSEN_FROM, REGIONS, face_regions
from extractors.faces import FaceConfig, FaceTracker


@pytest.fixture(scope="module")
def labelled(face_frames: Any) -> tuple[Any, Any]:
    """A frame of the drawn face, (240, 240, 3), and its label map."""
    frame = np.ascontiguousarray(face_frames[:1, :, 40:280])
    tracker = FaceTracker(FaceConfig(max_faces=1))
    tracker.push(frame, 0)
    landmarks = tracker.sightings[0].found[0]
    tracker.close()
    return frame[0], face_regions(landmarks, 240)


def test_every_region_of_a_face_is_there(labelled: tuple[Any, Any]) -> None:
    _, labels = labelled
    shares = np.bincount(labels.ravel(), minlength=len(REGIONS)) / labels.size
    assert (shares > 0.002).all()
    assert shares.sum() == pytest.approx(1)
    assert [REGIONS[i] for i in CHOSEN_FROM] == ["boundary", "brows", "eyes", "nose", "mouth"]


def test_lips_are_redder_and_brows_darker_than_skin(labelled: tuple[Any, Any]) -> None:
    frame, labels = labelled
    colour = {name: frame[labels == i].astype(float).mean(axis=0) for i, name in enumerate(REGIONS)}
    red = {name: c[0] / c[1] for name, c in colour.items()}
    assert red["mouth"] > red["skin"] * 1.15
    assert colour["brows"].mean() < 0.8 * colour["skin"].mean()
    assert colour["skin"].mean() > colour["boundary"].mean() * 0.9


def test_features_lie_inside_the_face_and_the_jaw_at_its_edge(labelled: tuple[Any, Any]) -> None:
    _, labels = labelled
    oval = (labels > 0).astype(np.uint8)
    depth = cv2.distanceTransform(np.pad(oval, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    inner = np.isin(labels, [REGIONS.index(n) for n in ("brows", "eyes", "nose", "mouth")])
    assert depth[inner].min() > 5
    assert depth[labels == REGIONS.index("boundary")].max() < 0.1 * 240
    rows = {n: np.nonzero(labels == i)[0].mean() for i, n in enumerate(REGIONS)}
    assert rows["brows"] < rows["eyes"] < rows["nose"] < rows["mouth"]
