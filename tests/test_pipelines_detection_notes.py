"""A modality without a score has its true reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from drawn_timelines import FILE, PICTURES, TINY, timeline

from pipelines.detection.decide import Judgement, decide
from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.judge_config import JudgeConfig
from pipelines.detection.timelines import Timeline


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(DetectorConfig(experts=TINY)).eval()


def face(**measures: float | torch.Tensor) -> Timeline:
    return timeline((-3, 0, -3), track=0, **measures)


def voice(**measures: float | torch.Tensor) -> Timeline:
    return timeline((0, -3, 0), **{"speech": 0.9, **measures})


MUSIC, SILENCE = voice(speech=0.1), timeline((0, -3, 0), loud=-13.8, speech=0.1)
SCENE = timeline((0, 0, 0), scene=True)
PHOTOGRAPH = face(change=torch.zeros(100))
TRAILING = timeline((-3, 0, -3), 20, start=100, track=0)
SILENT_FILM = replace(FILE, audio_codec=None, sample_rate=None)
SOUND_FILE = replace(FILE, video_codec=None, width=None, height=None, fps=None)


@pytest.mark.parametrize(
    ("given", "file", "visual", "audio", "sync"),
    [
        ([face(), voice()], FILE, None, None, None),
        ([face()], SILENT_FILM, None, "no sound in the file", "no sound in the file"),
        ([voice()], SOUND_FILE, "no picture in the file", None, "no picture in the file"),
        ([face(), SILENCE], FILE, None, "the sound is silent", "the sound is silent"),
        ([face(), MUSIC], FILE, None, "no speech in the sound", "no speech in the sound"),
        ([face(), voice(speech=(torch.arange(100) % 33 < 2).float())], FILE,
         None, *2 * ["no speech in the sound"]),
        ([face(), timeline((0, -3, 0), 5)], FILE, None, *2 * ["the sound is too short"]),
        ([SCENE, voice()], FILE, "no face was found", None, "no face was found"),
        ([timeline((0, 0, 0), track=0, size=20), voice()], FILE,
         "no face is larger than 32 pixels", None, "no face is larger than 32 pixels"),
        ([timeline((0, 0, 0), 5, track=0), voice()], FILE,
         "no face is seen for 0.4 s", None, "no face is seen for 0.4 s"),
        ([PHOTOGRAPH, voice()], FILE, None, None, "too little motion of a face that speaks"),
        ([face(lips_inside=0.0), voice()], FILE,
         None, None, "too little of the lips of a face that speaks"),
        ([face(), voice(speech=(torch.arange(100) < 12).float(),
                        loud=torch.where(torch.arange(100) < 12, 0.0, -13.0))], FILE,
         None, None, "too little speech with a face"),
    ],
)  # fmt: skip
def test_what_has_no_score_has_its_true_reason(
    detector: Detector,
    given: list[Timeline],
    file: object,
    visual: str | None,
    audio: str | None,
    sync: str | None,
) -> None:
    result = decide(given, detector, JudgeConfig(), file)  # type: ignore[arg-type]
    assert result.not_judged == {"visual": visual, "audio": audio, "sync": sync}


def test_tracks_that_cannot_be_decoded_and_covers_are_not_called_missing(
    detector: Detector,
) -> None:
    def why(given: Timeline, file: object, read: str) -> object:
        return decide([given], detector, JudgeConfig(), file, [read]).not_judged  # type: ignore

    lost = "the sound cannot be decoded"
    assert why(face(), SILENT_FILM, lost) == {"visual": None, "audio": lost, "sync": lost}
    cover = "no picture in the file but a cover"
    told = why(voice(), SOUND_FILE, "the cover picture was not judged")
    assert told == {"visual": cover, "audio": None, "sync": cover}


def test_every_sound_track_that_is_not_judged_is_named(detector: Detector) -> None:
    file = replace(FILE, audio_tracks=["1 (eng)", "2 (deu)"], audio_spans=[[0.0, 4.0]] * 2)
    result = decide([MUSIC, replace(SILENCE, sound=1)], detector, JudgeConfig(), file)
    assert result.not_judged["audio"] == (
        "no speech in sound track 1 (eng); sound track 2 (deu) is silent"
    )


def test_fast_mode_is_named_where_it_costs_the_score_of_the_picture() -> None:
    config = DetectorConfig(experts=TINY, opinions=("portrait", "mel", "lag"), portrait=("a",))
    detector = Detector(config).eval()
    plain = timeline((0, 0, 0), track=0)
    opinions = torch.zeros(100, 3)
    fast, full = (
        replace(plain, opinions=opinions, streams=streams)
        for streams in (PICTURES, PICTURES | {"portrait"})
    )

    def judged(face: Timeline) -> Judgement:
        return decide([face], detector, JudgeConfig(), SILENT_FILM)

    spoken = replace(voice(), opinions=torch.tensor([[0.0, -5.0, 0.0]]).expand(100, 3))
    both = decide([fast, spoken], detector, JudgeConfig(), FILE)
    assert both.scores["audio_score"] < 0.1  # type: ignore[operator]
    assert both.verdict == "inconclusive"  # the voice does not speak for the face

    why = judged(fast).not_judged["visual"]
    assert why is not None
    assert why.startswith("fast mode (--fast) leaves out the picture encoder")
    assert any(why in warning for warning in judged(fast).warnings)
    assert judged(full).not_judged["visual"] is None
