"""The judgement: what is judged, what is not and why, and which face speaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from extractors.media import MediaInfo
from pipelines.detection.decide import JudgeConfig, decide
from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.timelines import Timeline
from temporal.experts import ExpertConfig

TINY = ExpertConfig(
    dim=8, appearance=4, lips=(4, 4), flow=(4, 4), depth=(4, 4), mel=(4, 4), voice=(4, 4)
)
FILE = MediaInfo("a.mp4", 4.0, 640, 360, 25.0, "h264", "aac", 16_000)  # bit rate not known
PICTURES = frozenset({"appearance", "landmarks", "mouth", "flow", "depth"})


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(DetectorConfig(experts=TINY)).eval()


def opinions(logits: tuple[float, float, float], steps: int) -> torch.Tensor:
    """Of fusion alone, which an untrained detector takes as they are."""
    made = torch.zeros(steps, len(DetectorConfig().opinions))
    for column, modality in enumerate(("visual", "audio", "sync")):
        made[:, DetectorConfig().opinions.index(f"fusion of {modality}")] = logits[column]
    return made


def timeline(
    logits: tuple[float, float, float],
    steps: int = 100,
    *,
    start: int = 0,
    track: int | None = None,
    scene: bool = False,
    size: float | None = 120.0,
    loud: float = 0.0,
) -> Timeline:
    scales = len(DetectorConfig().localization.dilations)
    sound = track is None and not scene
    return Timeline(
        track=track,
        scene=scene,
        start=start,
        streams=frozenset({"mel"}) if sound else PICTURES,
        face_size=size if track is not None else None,
        yaw=5.0 if track is not None else None,
        opinions=opinions(logits, steps),
        proposals=torch.zeros(steps, scales, 3),
        reach=torch.zeros(steps, scales, 3, 2),
        loudness=torch.full((steps,), loud) if sound else None,
    )


def test_the_picture_is_as_suspect_as_its_worst_face(detector: Detector) -> None:
    faces = [timeline((-3, 0, -3), track=0), timeline((2, 0, 3), track=1)]
    result = decide([*faces, timeline((0, -3, 0))], detector, JudgeConfig(), FILE)
    assert result.scores["visual_score"] == pytest.approx(0.8808, abs=1e-3)
    assert [face["score"] > 0.5 for face in result.faces] == [False, True]
    assert result.verdict == "fake"


def test_the_speaker_is_the_face_whose_lips_fit(detector: Detector) -> None:
    faces = [timeline((-3, 0, 4), track=0), timeline((-3, 0, -2), track=1)]
    result = decide([*faces, timeline((0, -3, 0))], detector, JudgeConfig(), FILE)
    assert result.scores["sync_score"] == pytest.approx(0.1192, abs=1e-3)
    assert result.verdict == "real"


def test_sound_alone_is_judged_by_the_sound_alone(detector: Detector) -> None:
    result = decide([timeline((5, -2, 5))], detector, JudgeConfig(), FILE)
    assert (result.scores["visual_score"], result.scores["sync_score"]) == (None, None)
    assert result.scores["score"] == result.scores["audio_score"]
    assert torch.tensor(result.timeline[:, 0]).isnan().all()


def test_silence_is_not_judged(detector: Detector) -> None:
    quiet = timeline((0, 5, 5), loud=-13.8)
    result = decide([timeline((-2, 0, 0), track=0), quiet], detector, JudgeConfig(), FILE)
    assert result.scores["audio_score"] is None
    assert result.scores["sync_score"] is None
    assert "the sound is silent and was not judged" in result.warnings


def test_a_picture_without_faces_is_inconclusive(detector: Detector) -> None:
    result = decide([timeline((9, 0, 0), scene=True)], detector, JudgeConfig(), FILE)
    assert result.verdict == "inconclusive"
    assert result.scores["score"] is None
    assert any("no face was found" in warning for warning in result.warnings)


def test_a_face_too_small_is_not_judged_and_a_small_one_with_a_warning(detector: Detector) -> None:
    tiny = decide([timeline((5, 0, 0), track=0, size=20)], detector, JudgeConfig(), FILE)
    assert tiny.verdict == "inconclusive"
    assert "no face is large and long enough for the picture to be judged" in tiny.warnings
    small = decide([timeline((5, 0, 0), track=0, size=50)], detector, JudgeConfig(), FILE)
    assert small.verdict == "fake"
    assert any("small" in warning for warning in small.warnings)


def test_a_score_in_the_band_is_inconclusive(detector: Detector) -> None:
    result = decide([timeline((0.9, 0, 0), track=0)], detector, JudgeConfig(), FILE)
    assert result.verdict == "inconclusive"
    assert any("decides nothing" in warning for warning in result.warnings)


def test_steps_before_a_face_appears_are_not_judged_by_the_picture(detector: Detector) -> None:
    face, sound = timeline((1, 0, 0), 60, start=40, track=0), timeline((0, -1, 0))
    result = decide([face, sound], detector, JudgeConfig(), FILE)
    visual = torch.tensor(result.timeline[:, 0])
    assert visual[:40].isnan().all()
    assert not visual[40:].isnan().any()
    assert not torch.tensor(result.timeline[:, 1]).isnan().any()


def test_lips_that_hardly_fit_forbid_the_verdict_real_and_no_other(detector: Detector) -> None:
    for visual, verdict in ((-5.0, "inconclusive"), (9.0, "fake")):
        face = timeline((visual, 0, 5), track=0)
        result = decide([face, timeline((0, -5, 0))], detector, JudgeConfig(), FILE)
        assert result.scores["sync_score"] > JudgeConfig().apart  # type: ignore[operator]
        assert result.verdict == verdict
        assert any("lips and sound hardly fit" in warning for warning in result.warnings)


def test_sharpness_of_a_face_with_few_bits_is_left_out(detector: Detector) -> None:
    sharp = timeline((2, 0, 0), track=0)
    sharp.opinions[:, DetectorConfig().opinions.index("sharpness")] = 4.0
    poor = replace(FILE, video_bit_rate=20_000)  # 0.003 bits a pixel
    rich = replace(FILE, video_bit_rate=2_000_000)
    results = [decide([sharp], detector, JudgeConfig(), file) for file in (poor, rich, FILE)]
    # the other opinions by themselves
    assert results[0].scores["visual_score"] == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-4)
    assert results[0].faces[0]["score"] == results[0].scores["visual_score"]
    assert results[1].scores == results[2].scores
    assert results[1].scores["visual_score"] > 0.9
    assert any("compressed hard" in warning for warning in results[0].warnings)
    assert not any("compressed hard" in warning for warning in results[1].warnings)
