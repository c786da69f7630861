"""Whether a covered mouth is noticed: covers drawn over drawn and genuine faces."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_timelines import FILE, TINY, timeline

from avdetect.example import example_frames
from extractors.clip import Clip, Frames
from extractors.covered_mouth import MARKS, mouth_marks
from extractors.faces import track_faces
from extractors.media import read_clip
from extractors.stream_extractor import StreamExtractor
from pipelines.detection.decide import decide
from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.judge_config import JudgeConfig
from pipelines.forge.picture.covers import COVERS, covered
from pipelines.train.fit_covered_mouth import drawn_marks, fitted

SETTINGS = JudgeConfig().visible
GENUINE = ("219571d9f992", "c7e0fe8fb0b6", "fe6ae68e4e70")


def looks(frames: Frames) -> torch.Tensor:
    """The logits (T / 5,) of the steps of the first face at which its mouth was looked at."""
    blocks = StreamExtractor()([Clip(0, frames, None)])
    face = next(block for block in blocks if block.track is not None)
    assert face.lips_covered is not None
    return face.lips_covered[~face.lips_covered.isnan()]


@cache
def genuine(path: Path) -> Frames:
    frames = read_clip(path).frames
    assert frames is not None
    return frames[:50]


def with_cover(frames: Frames, kind: str) -> Frames:
    face = track_faces(frames)[0]
    assert face.start == 0
    rng = np.random.default_rng(0)
    return covered(frames, face.landmarks, kind, rng, range(len(face.landmarks)))


@pytest.mark.data
@pytest.mark.parametrize("kind", COVERS)
@pytest.mark.parametrize("name", GENUINE)
def test_a_cover_over_a_genuine_mouth_is_noticed(name: str, kind: str, data_dir: Path) -> None:
    frames = genuine(data_dir / "video" / "real" / f"{name}.mp4")
    assert float(looks(frames).mean()) < 0
    assert float(looks(with_cover(frames, kind)).mean()) > SETTINGS.covered


def test_a_mouth_is_looked_at_every_fifth_step_of_the_file_however_it_is_cut() -> None:
    frames = example_frames(1.2)
    chunks = [Clip(0, frames[:13], None), Clip(13, frames[13:], None)]
    whole, cut = (
        next(block.lips_covered for block in StreamExtractor()(given) if block.track is not None)
        for given in ([Clip(0, frames, None)], chunks)
    )
    assert whole is not None
    assert cut is not None
    assert (~whole.isnan()).nonzero().flatten().tolist() == list(range(0, len(frames), 5))
    torch.testing.assert_close(cut, whole, equal_nan=True)


def test_a_cover_changes_nothing_elsewhere_and_nothing_at_other_steps() -> None:
    frames = example_frames(0.4)
    landmarks = track_faces(frames)[0].landmarks
    for kind in COVERS:
        made = covered(frames, landmarks, kind, np.random.default_rng(0), range(3, 6))
        changed = (made != frames).any(axis=-1)
        assert changed.any(axis=(1, 2)).nonzero()[0].tolist() == [3, 4, 5]
        mouth = landmarks[4, 13, :2].astype(int)
        assert changed[4, mouth[1], mouth[0]]
        assert not changed[4, : int(landmarks[4, 10, 1])].any()  # above the forehead


def test_lips_are_not_compared_with_the_sound_where_something_covers_them() -> None:
    detector = Detector(DetectorConfig(experts=TINY)).eval()
    looked = torch.full((100,), torch.nan)
    looked[::5] = torch.where(torch.arange(20) < 10, -4.0, 6.0)
    face, sound = (
        timeline((-3, 0, 0), track=0, lips_covered=looked),
        timeline((0, -3, 0), speech=0.9),
    )
    face.opinions[55:, DetectorConfig().opinions.index("fusion of sync")] = 9.0
    result = decide([face, sound], detector, JudgeConfig(), FILE)
    assert result.scores["sync_score"] == pytest.approx(0.5)
    assert np.isnan(result.timeline[60:, 2]).all()
    assert not np.isnan(result.timeline[:40, 2]).any()
    pattern = re.compile(r"something seems to cover a mouth for \d\.\d s: whether lips and sound")
    assert any(pattern.match(warning) for warning in result.warnings)
    hidden = timeline((-3, 0, 0), track=0, lips_covered=6.0)
    result = decide([hidden, sound], detector, JudgeConfig(), FILE)
    assert result.not_judged["sync"] == "too little of the lips of a face that speaks"


def test_the_regression_is_fitted_on_drawn_covers() -> None:
    rows = list(drawn_marks(example_frames(1.2), np.random.default_rng(0)))
    assert len(rows) >= 3
    assert not rows[0].covered.any()
    assert all(row.values.shape == (len(row.covered), MARKS) for row in rows)
    found = fitted(rows)
    values = np.concatenate([row.values for row in rows])
    logits = (values - found["mean"]) @ np.array(found["weights"]) + found["bias"]
    hidden = np.concatenate([row.covered for row in rows])
    assert logits[hidden].mean() > logits[~hidden].mean() + 1


def test_a_face_without_a_mouth_in_the_crop_has_no_marks() -> None:
    landmarks = np.full((1, 478, 3), 500, np.float32)
    crop, square = np.zeros((1, 112, 112, 3), np.uint8), np.array([[50, 50, 60, 0]], np.float32)
    assert not mouth_marks(crop, square, landmarks).any()
