"""How well a face can be seen, against drawn faces that were spoilt in known ways."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from avdetect.example import example_frames
from extractors.faces import FaceConfig
from extractors.lips import LIPS
from extractors.measures import FaceMeasures
from extractors.media import Clip, read_clip, write_clip
from extractors.stream_extractor import StreamExtractor
from extractors.streams import Streams

CHANGED = 0.08  # see `VisibilityConfig.change`


@pytest.fixture(scope="module")
def extractor() -> StreamExtractor:
    return StreamExtractor()


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    return example_frames(1.6, size=(240, 320))


def face_of(extractor: StreamExtractor, frames: np.ndarray) -> Streams:
    (face,) = (b for b in extractor([Clip(0, frames, None)]) if b.track is not None)
    return face


def test_a_talking_face_changes_and_a_photograph_does_not_even_after_h264(
    extractor: StreamExtractor, drawn: np.ndarray, tmp_path: Path
) -> None:
    for frames, most in ((drawn, None), (np.repeat(drawn[10:11], 40, axis=0), 1)):
        write_clip(tmp_path / "a.mp4", frames, None)
        read = read_clip(tmp_path / "a.mp4").frames
        assert read is not None
        change = face_of(extractor, read).change
        assert change is not None
        assert change[0].isnan()
        different = int((change[1:] > CHANGED).sum())
        assert different <= most if most is not None else different >= 35


def test_repeated_frames_change_as_often_as_there_are_new_ones(
    extractor: StreamExtractor, drawn: np.ndarray
) -> None:
    change = face_of(extractor, np.repeat(drawn[::4], 4, axis=0)).change
    assert change is not None
    np.testing.assert_array_equal(np.flatnonzero(change[1:] > CHANGED) % 4, 3)
    assert (change[1:4] == 0).all()


def test_light_and_detail_fall_with_the_picture(
    extractor: StreamExtractor, drawn: np.ndarray
) -> None:
    plain = face_of(extractor, drawn)
    dark = face_of(extractor, (drawn * 0.4).astype(np.uint8))
    blurred = face_of(extractor, np.stack([cv2.GaussianBlur(f, (0, 0), 5) for f in drawn]))
    assert float(dark.brightness.median() / plain.brightness.median()) == pytest.approx(
        0.4, abs=0.05
    )
    assert float(blurred.detail.median()) < 0.8 * float(plain.detail.median())


def test_lips_below_the_frame_are_outside() -> None:
    frames = np.zeros((2, 100, 200, 3), np.uint8)
    crops, squares = np.zeros((2, 112, 112, 3), np.uint8), np.array([[100, 50, 60, 0]] * 2)
    landmarks = np.full((2, 478, 3), 50, np.float32)
    landmarks[1, LIPS[:10], 1] = 100  # the frame's last row is 99
    inside = FaceMeasures()(frames, crops, squares.astype(np.float32), landmarks)["lips_inside"]
    assert inside.tolist() == [1.0, 0.75]


def test_faces_beyond_those_followed_are_counted() -> None:
    small = np.concatenate([example_frames(1.2, size=(160, 160), scale=0.35)] * 3, axis=2)
    blocks = list(StreamExtractor(faces=FaceConfig(max_faces=2))([Clip(0, small, None)]))
    counts = [b.seen for b in blocks if b.track is not None]
    assert len(counts) == 2
    assert max(float(c.max()) for c in counts if c is not None) == 3
    assert torch.cat([c for c in counts if c is not None]).count_nonzero() <= 4
