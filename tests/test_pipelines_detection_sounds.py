"""Several sounds, and tracks of different lengths: each is judged over its own seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_media import DrawnPicture, DrawnSound, write_tracks

from avdetect.example import example_waveform
from extractors.media import Clip, MediaInfo, write_clip
from pipelines.detection.decide import decide
from pipelines.detection.detector import Detector, save_detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.judge_config import JudgeConfig
from pipelines.detection.session import DetectorSession, load
from pipelines.detection.sounds import first_speech, of_own_length
from pipelines.detection.timelines import Timeline
from pipelines.detection.visibility import VisibilityConfig
from temporal.experts import ExpertConfig

TINY = ExpertConfig(
    dim=8, appearance=4, lips=(4, 4), flow=(4, 4), depth=(4, 4), mel=(4, 4), voice=(4, 4)
)
FILE = MediaInfo("a.mp4", 4.0, 640, 360, 25.0, "h264", "aac", 16_000)
PICTURES = frozenset({"appearance", "landmarks", "mouth", "flow", "depth"})


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(DetectorConfig(experts=TINY)).eval()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> DetectorSession:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_detector(path, Detector(DetectorConfig(name="tiny", experts=TINY)), {})
    return load(path)


def heard(logits: torch.Tensor, track: int = 0, face: bool = False) -> Timeline:
    """A timeline whose fusion says (T,) of the sound, or of a face's picture."""
    scales = len(DetectorConfig().localization.dilations)
    opinions = torch.zeros(len(logits), len(DetectorConfig().opinions))
    name = "visual" if face else "audio"
    opinions[:, DetectorConfig().opinions.index(f"fusion of {name}")] = logits
    return Timeline(
        track=0 if face else None,
        scene=False,
        start=0,
        streams=PICTURES if face else frozenset({"mel"}),
        face_size=120.0 if face else None,
        yaw=None,
        opinions=opinions,
        proposals=torch.zeros(len(logits), scales, 3),
        reach=torch.zeros(len(logits), scales, 3, 2),
        loudness=None if face else torch.zeros(len(logits)),
        sound=track,
    )


def test_the_worst_sound_track_counts_and_all_are_named(detector: Detector) -> None:
    sounds = [heard(torch.full((100,), -3.0)), heard(torch.full((100,), 2.0), track=1)]
    info = replace(
        FILE, audio_tracks=["1 (aac, eng)", "2 (aac, deu)"], audio_spans=[[0.0, 4.0]] * 2
    )
    result = decide(sounds, detector, JudgeConfig(), info)
    assert result.scores["audio_score"] == pytest.approx(0.8808, abs=1e-3)
    assert result.verdict == "fake"
    named = (
        "of the sound tracks, the most suspect one counts (1 (aac, eng): 0.05, 2 (aac, deu): 0.88)"
    )
    assert named in result.warnings
    assert result.timeline[:, 1] == pytest.approx(np.full(100, 0.8808), abs=1e-3)


def test_a_silent_track_is_named(detector: Detector) -> None:
    silent = replace(heard(torch.zeros(100), track=1), loudness=torch.full((100,), -13.8))
    info = replace(FILE, audio_tracks=["1 (aac)", "2 (aac)"], audio_spans=[[0.0, 4.0]] * 2)
    result = decide([heard(torch.full((100,), -3.0)), silent], detector, JudgeConfig(), info)
    assert "sound track 2 (aac) is silent and was not judged" in result.warnings
    assert result.scores["audio_score"] == pytest.approx(0.0474, abs=1e-3)


def test_what_fills_up_a_track_is_not_judged(detector: Detector) -> None:
    logits = torch.full((100,), -6.0)
    logits[:50] = 2.0
    info = replace(FILE, audio_tracks=["1 (aac)"], audio_spans=[[0.0, 2.0]])
    result = decide([heard(logits)], detector, JudgeConfig(), info)
    assert result.scores["audio_score"] == pytest.approx(0.8808, abs=1e-3)
    assert np.isnan(result.timeline[50:, 1]).all()
    late = replace(FILE, video_span=[1.0, 4.0])
    [face] = of_own_length([heard(logits, face=True)], late)
    assert (face.start, face.stop) == (25, 100)


def test_speech_is_that_of_the_first_track_at_its_place() -> None:
    loud = heard(torch.zeros(40))
    late = replace(loud, start=30)
    other = replace(heard(torch.zeros(100), track=1), loudness=torch.full((100,), 5.0))
    speech = first_speech([other, late], VisibilityConfig())
    assert speech is not None
    assert speech.nonzero().flatten().tolist() == list(range(30, 70))
    assert len(speech) == 100


def test_a_voice_under_a_cover_picture_is_judged_as_it_is_alone(
    session: DetectorSession, tmp_path: Path
) -> None:
    voice = example_waveform(6.0)
    cover = write_tracks(
        tmp_path / "cover.mkv", DrawnPicture([1]), DrawnSound(voice, codec="pcm_s16le")
    )
    write_clip(tmp_path / "voice.wav", None, voice)
    under, alone = (session.detect(p).to_dict() for p in (cover, tmp_path / "voice.wav"))
    assert under["audio_score"] == alone["audio_score"]
    assert under["timeline"]["audio"] == alone["timeline"]["audio"]
    assert under["visual_score"] is None
    assert under["media"]["video_span"] == [0.0, 0.04]


def test_a_second_sound_of_a_file_is_judged_as_it_is_alone(
    session: DetectorSession, tmp_path: Path
) -> None:
    voice = example_waveform(6.0)
    noise = np.random.default_rng(0).normal(0, 0.01, len(voice)).astype(np.float32)
    voices = voice, voice + noise
    sounds = [DrawnSound(w, codec="pcm_s16le") for w in voices]
    both = session.detect(write_tracks(tmp_path / "both.mkv", *sounds)).to_dict()
    single = []
    for number, waveform in enumerate(voices):
        write_clip(tmp_path / f"{number}.wav", None, waveform)
        single.append(session.detect(tmp_path / f"{number}.wav").to_dict()["audio_score"])
    assert both["audio_score"] == max(single)
    named = f"1 (pcm_s16le): {single[0]:.2f}, 2 (pcm_s16le): {single[1]:.2f}"
    assert any(named in line for line in both["warnings"])
    assert both["media"]["audio_tracks"] == ["1 (pcm_s16le)", "2 (pcm_s16le)"]


@pytest.mark.data
@pytest.mark.parametrize("name", ["4f0fce48d8ab", "500d9b6791e7", "defe13a50543"])
def test_genuine_singing_is_not_called_fake(name: str, data_dir: Path) -> None:
    def heard_alone(chunks: Iterable[Clip]) -> Iterator[Clip]:
        yield from (replace(clip, frames=None) for clip in chunks)

    verdict = load().detect(data_dir / "video" / "fake" / f"{name}.mp4", change=heard_alone)
    assert verdict.verdict != "fake"
    assert (verdict.audio_score is None) == (verdict.not_judged["audio"] is not None)
