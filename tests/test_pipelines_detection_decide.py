"""The judgement: what is judged, what is not and why, and which face speaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn_timelines import FILE, TINY, timeline

from extractors.clip import Credentials
from pipelines.detection.decide import Judgement, decide, with_segments
from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.judge_config import JudgeConfig
from temporal.segment import Segment


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(DetectorConfig(experts=TINY)).eval()


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


def test_a_genuine_voice_does_not_make_a_picture_of_few_bits_real(detector: Detector) -> None:
    given = [timeline((-5, 0, -5), track=0), timeline((0, -5, 0))]
    poor = replace(FILE, video_bit_rate=20_000)  # 0.003 bits a pixel
    verdicts = [decide(given, detector, JudgeConfig(), file).verdict for file in (FILE, poor)]
    assert verdicts == ["real", "inconclusive"]
    words = decide(given, detector, JudgeConfig(), poor).warnings
    assert words[0] == "too little of the faces can be judged for a verdict"
    assert any("compressed hard" in warning for warning in words[1:])
    fake = [given[0], timeline((0, 9, 0))]
    assert decide(fake, detector, JudgeConfig(), poor).verdict == "fake"  # by its sound alone


def said(result: Judgement, words: str) -> bool:
    return any(words in warning for warning in result.warnings)


def test_sound_without_speech_is_not_judged_and_is_not_called_silent(detector: Detector) -> None:
    for level in (0.0, -12.8):  # noise; a tone, which fills few bands
        music = timeline((0, 5, 5), loud=level, speech=0.1)
        result = decide([timeline((-2, 0, 5), track=0), music], detector, JudgeConfig(), FILE)
        assert (result.scores["audio_score"], result.scores["sync_score"]) == (None, None)
        assert said(result, "no speech: the sound was not judged")
        assert not said(result, "silent")
        assert np.isnan(result.timeline[:, 1]).all()


def test_speech_is_judged_and_music_long_after_it_is_not(detector: Detector) -> None:
    speech = (torch.arange(400) < 100).float()
    sound = timeline((0, 0, 0), 400, speech=speech)
    column = DetectorConfig().opinions.index("fusion of audio")
    sound.opinions[:200, column], sound.opinions[200:, column] = -3.0, 9.0
    result = decide([sound], detector, JudgeConfig(), FILE)
    assert result.scores["audio_score"] < 0.1  # type: ignore[operator]
    assert not np.isnan(result.timeline[:100, 1]).any()
    assert np.isnan(result.timeline[200:, 1]).all()
    assert said(result, "s of the sound hold no speech and were not judged")


@pytest.mark.parametrize(("every", "words"), [(0, "does not move at all"), (5, "fewer than 12")])
def test_motion_and_sync_say_nothing_of_frames_that_do_not_change(
    detector: Detector, every: int, words: str
) -> None:
    change = torch.zeros(100) if every == 0 else (torch.arange(100) % every == 0).float()
    face, sound = timeline((0, 0, 9), track=0, change=change), timeline((0, -3, 0), speech=0.9)
    for name in ("flow", "steadiness", "appearance"):
        face.opinions[:, DetectorConfig().opinions.index(name)] = 4.0
    result = decide([face, sound], detector, JudgeConfig(), FILE)
    assert result.scores["sync_score"] is None
    assert said(result, words)
    single = timeline((0, 0, 0), track=0)
    single.opinions[:, DetectorConfig().opinions.index("appearance")] = 4.0
    alone = decide([single], detector, JudgeConfig(), FILE).scores["visual_score"]
    assert result.scores["visual_score"] == alone


def test_a_moving_face_of_twelve_frames_a_second_is_judged_in_full(detector: Detector) -> None:
    change = (torch.arange(100) * 12 // 25 != (torch.arange(100) - 1) * 12 // 25).float()
    face, sound = timeline((-1, 0, 2), track=0, change=change), timeline((0, -3, 0), speech=0.9)
    plain = decide([timeline((-1, 0, 2), track=0), sound], detector, JudgeConfig(), FILE)
    result = decide([face, sound], detector, JudgeConfig(), FILE)
    assert result.scores == plain.scores
    assert result.warnings == plain.warnings


@pytest.mark.parametrize(
    ("measure", "value", "words"),
    [
        ("brightness", 15.0, "too dark or too bright"),
        ("brightness", 254.0, "too dark or too bright"),
        ("detail", 0.1, "too blurred"),
    ],
)
def test_a_face_that_can_hardly_be_seen_is_at_even_odds(
    detector: Detector, measure: str, value: float, words: str
) -> None:
    face = timeline((4, 0, 0), track=0, **{measure: value})
    result = decide([face], detector, JudgeConfig(), FILE)
    assert result.scores["visual_score"] == pytest.approx(0.5)
    assert said(result, words)
    assert result.verdict == "inconclusive"


def test_lips_outside_the_frame_are_not_judged(detector: Detector) -> None:
    inside = (torch.arange(100) < 50).float()
    face = timeline((-3, 0, 0), track=0, lips_inside=inside)
    face.opinions[50:, DetectorConfig().opinions.index("fusion of sync")] = 9.0
    sound = timeline((0, -3, 0), speech=0.9)
    result = decide([face, sound], detector, JudgeConfig(), FILE)
    assert result.scores["sync_score"] == pytest.approx(0.5)
    assert np.isnan(result.timeline[50:, 2]).all()
    assert said(result, "lips outside the frame")


@pytest.mark.parametrize(
    ("state", "verdict", "words"),
    [
        (
            "Trusted",
            "fake",
            "an algorithm made it, or parts of it: content credentials (C2PA) signed by A",
        ),
        ("Valid", "inconclusive", "signed in the name of A, an issuer on no trust list"),
        (
            "Invalid",
            "real",
            "are broken: the file was changed after it was signed in the name of A",
        ),
        ("unreadable: x", "real", "cannot be checked: unreadable: x"),
    ],
)
def test_what_credentials_say_stands_first_and_a_generator_they_name_decides(
    detector: Detector, state: str, verdict: str, words: str
) -> None:
    signed: Credentials = {
        "state": state, "generator": "G", "issuer": "A", "signed": "", "actions": [],
        "generated": True,
    }  # fmt: skip
    face = timeline((-5, 0, 0), track=0)
    plain = decide([face], detector, JudgeConfig(), FILE)
    result = decide([face], detector, JudgeConfig(), replace(FILE, credentials=signed))
    assert plain.verdict == "real"
    assert result.verdict == verdict
    assert words in result.warnings[0]
    assert result.scores == plain.scores


def test_a_file_of_which_a_stretch_is_reported_is_not_real() -> None:
    stretch = [Segment(1.0, 2.0, 0.7, "audio")]
    verdict, why = with_segments("real", stretch)
    assert (verdict, why) == (
        "inconclusive", ["a stretch looks fake, though the file as a whole does not"]
    )  # fmt: skip
    assert with_segments("real", []) == ("real", [])
    assert with_segments("fake", stretch) == ("fake", [])
