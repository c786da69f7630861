"""The whole walk: one file in, a verdict out, the same however the file was packed or cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from avdetect.example import example_frames, example_waveform
from extractors.media import MediaError, write_clip
from pipelines.config import ConfigError
from pipelines.detection.candidates import CANDIDATES
from pipelines.detection.detector import Detector, save_detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.result import Failure, Result
from pipelines.detection.session import DetectorSession, load
from pipelines.detection.verdict import error_dict
from temporal.experts import ExpertConfig

TINY = ExpertConfig(
    dim=16, appearance=4, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_detector(path, Detector(DetectorConfig(name="tiny", experts=TINY)), {})
    return path


@pytest.fixture(scope="module")
def session(weights: Path) -> DetectorSession:
    return load(weights)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "face.mp4"
    write_clip(path, example_frames(3.0), example_waveform(3.0))
    return path


def scores(result: dict[str, object]) -> list[float]:
    return [float(result[f"{m}score"]) for m in ("", "visual_", "audio_", "sync_")]  # type: ignore[arg-type]


def test_a_verdict_has_the_fields_of_schema_1(session: DetectorSession, clip: Path) -> None:
    result = session.detect(clip).to_dict()
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["schema"] == 1
    assert result["status"] == "ok"
    missing = [name for name, there in result["streams"].items() if not there]
    assert missing == ["portrait"]  # these weights have no opinion on it
    assert len(result["timeline"]["visual"]) == 75
    assert result["media"]["duration"] == pytest.approx(3.0, abs=0.1)
    assert result["faces"][0]["track"] == 0
    assert result["model"]["name"] == "tiny"
    assert set(result["elapsed"]) == {"decode", "extract", "judge", "total"}
    assert all(0 <= score <= 1 for score in scores(result))


def test_candidates_go_below_what_is_worth_reporting(weights: Path, clip: Path) -> None:
    verdict = load(weights, overrides=["judge.segment_thresholds=[0.2,2,2]"]).detect(clip)
    assert all(s.score >= 0.2 and s.modality == "visual" for s in verdict.segments)
    assert 0 < len(verdict.candidates) <= CANDIDATES
    assert min(s.score for s in verdict.candidates) < 0.2
    ranked = [s["score"] for s in verdict.to_dict()["candidates"]]
    assert ranked == sorted(ranked, reverse=True)


def test_results_are_what_the_server_describes(session: DetectorSession, clip: Path) -> None:
    result, failure = session.detect(clip).to_dict(), error_dict("a.mp4", MediaError("no video"))
    # what is not described is left out by pydantic
    assert TypeAdapter(Result).validate_python(result, strict=True) == result
    assert TypeAdapter(Failure).validate_python(failure, strict=True) == failure


def test_the_same_file_gives_the_same_result_twice(session: DetectorSession, clip: Path) -> None:
    first, second = (session.detect(clip).to_dict() for _ in range(2))
    for result in (first, second):
        result.pop("elapsed")
    assert first == second


def test_the_precision_of_the_experts_hardly_matters(weights: Path, clip: Path) -> None:
    exact, fast = (
        load(weights, overrides=[f"precision={name}"]).detect(clip).to_dict()
        for name in ("float32", "bfloat16")
    )
    assert scores(fast) == pytest.approx(scores(exact), abs=0.02)


@pytest.mark.gpu
def test_a_gpu_says_what_the_processor_says(clip: Path) -> None:
    here, there = (
        load(device=device, overrides=["precision=float32"]).detect(clip)
        for device in ("cpu", "cuda")
    )
    assert there.verdict == here.verdict
    for name in ("score", "visual_score", "audio_score", "sync_score"):
        assert getattr(there, name) == pytest.approx(getattr(here, name), abs=0.02)
    np.testing.assert_allclose(there.timeline, here.timeline, atol=0.05)
    half = load(device="cuda", overrides=["precision=bfloat16"]).detect(clip)
    assert half.score == pytest.approx(here.score, abs=0.1)


def test_an_unknown_precision_is_refused(weights: Path) -> None:
    with pytest.raises(ConfigError, match="precision must be"):
        load(weights, overrides=["precision=float8"])


def test_the_container_and_the_chunks_do_not_matter(
    weights: Path, session: DetectorSession, clip: Path, tmp_path: Path
) -> None:
    with av.open(str(clip)) as source, av.open(str(tmp_path / "face.mkv"), "w") as target:
        copies = {s: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream]
                target.mux(packet)
    expected = scores(session.detect(clip).to_dict())
    remuxed = scores(session.detect(tmp_path / "face.mkv").to_dict())
    chunked = scores(load(weights, overrides=["media.max_chunk_steps=19"]).detect(clip).to_dict())
    assert remuxed == pytest.approx(expected, abs=0.02)
    assert chunked == pytest.approx(expected, abs=0.02)


def test_progress_reaches_the_end(session: DetectorSession, clip: Path) -> None:
    seen: list[tuple[int, int]] = []
    session.detect(clip, on_step=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (75, 75)


def test_sound_without_picture_and_picture_without_sound(
    session: DetectorSession, clip: Path, tmp_path: Path
) -> None:
    write_clip(tmp_path / "voice.m4a", None, example_waveform(2.0))
    sound = session.detect(tmp_path / "voice.m4a").to_dict()
    assert (sound["visual_score"], sound["sync_score"]) == (None, None)
    assert sound["score"] == sound["audio_score"]
    write_clip(tmp_path / "mute.mp4", example_frames(1.0), None)
    picture = session.detect(tmp_path / "mute.mp4").to_dict()
    assert (picture["audio_score"], picture["sync_score"]) == (None, None)
    assert picture["visual_score"] is not None
    assert picture["timeline"]["audio"] == [None] * 25


def test_a_picture_without_a_face_rests_on_the_sound(
    session: DetectorSession, tmp_path: Path
) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (50, 96, 128, 3), dtype=np.uint8)
    write_clip(tmp_path / "noise.mp4", frames, example_waveform(2.0))
    result = session.detect(tmp_path / "noise.mp4").to_dict()
    assert result["visual_score"] is None
    assert result["score"] == result["audio_score"]
    assert "no face was found, and these weights judge faces only" in result["warnings"]


def test_a_bad_file_raises_one_sentence(session: DetectorSession, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"not a video at all")
    with pytest.raises(MediaError, match=r"bad\.mp4") as caught:
        session.detect(tmp_path / "bad.mp4")
    result = error_dict("bad.mp4", caught.value)
    assert result["status"] == "error"
    assert result["error"]["type"] == "MediaError"
    assert "\n" not in result["error"]["message"]


def test_an_override_with_an_unknown_key_names_it(weights: Path) -> None:
    with pytest.raises(ConfigError, match="lenght"):
        load(weights, overrides=["windows.lenght=3"])


def test_windows_of_a_long_clip_judge_it_as_one(
    weights: Path, make_sound: Callable[[float], Path]
) -> None:
    path = make_sound(14.0)
    whole = load(weights, overrides=["windows.length=512", "windows.stride=448"]).detect(path)
    cut = load(weights, overrides=["windows.length=160", "windows.stride=60"]).detect(path)
    assert cut.timeline.shape == whole.timeline.shape
    assert np.nanmax(np.abs(cut.timeline - whole.timeline)) < 0.06


@pytest.fixture
def make_sound(tmp_path: Path) -> Callable[[float], Path]:
    def make(seconds: float) -> Path:
        path = tmp_path / "long.wav"
        write_clip(path, None, example_waveform(seconds))
        return path

    return make
