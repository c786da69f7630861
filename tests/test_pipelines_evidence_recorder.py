"""Evidence that is gathered while a file is judged, and the same verdict as without."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from avdetect.example import example_frames, example_waveform
from extractors.media import MediaError, MediaInfo, write_clip
from pipelines.detection.detector import Detector, save_detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.session import DetectorSession, load
from pipelines.detection.verdict import Verdict
from pipelines.evidence.moments import share_off_face
from pipelines.evidence.preview import MAX_BYTES, Preview, picture_rate
from pipelines.evidence.recorder import Evidence, Folding, explain
from pipelines.report.outputs import ReportError, save_report
from temporal.experts import ExpertConfig

TINY = ExpertConfig(
    dim=16, appearance=4, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> DetectorSession:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_detector(path, Detector(DetectorConfig(name="tiny", experts=TINY)), {})
    return load(path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "face.mp4"
    write_clip(path, example_frames(4.0, size=(240, 320)), example_waveform(4.0))
    return path


@pytest.fixture(scope="module")
def explained(session: DetectorSession, clip: Path) -> tuple[Verdict, Evidence]:
    return explain(clip, session)


def test_the_verdict_is_that_of_a_detection(
    session: DetectorSession, clip: Path, explained: tuple[Verdict, Evidence]
) -> None:
    plain, witnessed = session.detect(clip).to_dict(), explained[0].to_dict()
    for result in (plain, witnessed):
        result.pop("elapsed")
    assert plain == witnessed


def test_a_verdict_saves_its_report_while_its_file_is_the_same(
    session: DetectorSession, clip: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.mp4"
    shutil.copy(clip, copy)
    verdict = session.detect(copy)
    save_report(verdict, tmp_path / "deep" / "page.html", session)
    page = (tmp_path / "deep" / "page.html").read_text(encoding="utf-8")
    assert verdict.sha256 in page
    assert f"{verdict.score:.2f}" in page
    other = replace(verdict, model=verdict.model | {"sha256": "0" * 64})
    with pytest.raises(ReportError, match="other weights"):
        save_report(other, tmp_path / "other.html", session)
    copy.write_bytes(copy.read_bytes() + b"more")
    with pytest.raises(ReportError, match=r"copy\.mp4 has changed"):
        save_report(verdict, tmp_path / "other.html", session)
    copy.unlink()
    with pytest.raises(MediaError, match=r"copy\.mp4"):
        save_report(verdict, tmp_path / "other.html", session)
    assert not (tmp_path / "other.html").exists()


@pytest.mark.gpu
def test_evidence_of_a_gpu_is_that_of_the_processor(clip: Path) -> None:
    found = [
        explain(clip, load(device=device, overrides=["precision=float32"]))[1]
        for device in ("cpu", "cuda")
    ]
    changes = [{c["evidence"]: c["change"] for c in each.contributions} for each in found]
    assert changes[1] == pytest.approx(changes[0], abs=0.03)


def test_every_stream_of_the_result_has_a_contribution(
    explained: tuple[Verdict, Evidence],
) -> None:
    verdict, evidence = explained
    rows = {row["evidence"]: row for row in evidence.contributions}
    assert set(rows) == {"appearance", "lips", "flow", "depth", "sound"}
    assert verdict.score is not None
    for row in rows.values():
        assert row["change"] == pytest.approx(verdict.score - row["without"]["score"], abs=1e-4)
    # without sound there is nothing to be said of sound, nor of lips and sound
    assert rows["sound"]["without"]["audio_score"] is None
    assert rows["sound"]["without"]["sync_score"] is None
    assert rows["lips"]["without"]["sync_score"] is None
    assert rows["flow"]["without"]["audio_score"] == pytest.approx(verdict.audio_score, abs=1e-6)


def test_hiding_a_stream_gives_the_score_of_a_file_that_lacks_it(
    session: DetectorSession, clip: Path, explained: tuple[Verdict, Evidence], tmp_path: Path
) -> None:
    write_clip(tmp_path / "mute.mp4", example_frames(4.0, size=(240, 320)), None)
    mute = session.detect(tmp_path / "mute.mp4")
    hidden = next(r for r in explained[1].contributions if r["evidence"] == "sound")
    assert hidden["without"]["score"] == pytest.approx(mute.score, abs=0.02)


def test_moments_are_of_both_tracks_and_have_maps(explained: tuple[Verdict, Evidence]) -> None:
    moments = explained[1].moments
    assert {moment.modality for moment, _ in moments} == {"visual", "audio"}
    for moment, maps in moments:
        assert 0 <= moment.time <= 4.0
        assert moment.streams["mel"].shape[1:] == (80, 4)
        assert set(maps) <= {"appearance", "lips", "flow", "depth", "mel"}
    steps = [moment.step for moment, _ in moments if moment.modality == "visual"]
    assert min(abs(a - b) for i, a in enumerate(steps) for b in steps[:i]) > 25


def test_boxes_lie_on_the_drawn_face(explained: tuple[Verdict, Evidence]) -> None:
    first, squares = explained[1].boxes[0]
    assert first == 0
    assert len(squares) == 100
    middle = squares[:, :2].mean(axis=0) * 320
    assert middle == pytest.approx((160, 0.47 * 240), abs=25)
    assert explained[1].aspect == pytest.approx(320 / 240)


def test_lips_loudness_and_spectrum_cover_the_file(explained: tuple[Verdict, Evidence]) -> None:
    evidence = explained[1]
    assert len(evidence.lips) == len(evidence.loudness) == 100
    assert evidence.spectrogram.shape == (80, 400)
    assert {row["name"] for row in evidence.measurements} >= {"roll_off", "landmark_jitter"}


def test_the_copy_plays_what_was_judged(explained: tuple[Verdict, Evidence]) -> None:
    assert explained[1].preview is not None
    with av.open(io.BytesIO(explained[1].preview)) as copy:
        assert sum(1 for _ in copy.decode(video=0)) == 100
        assert copy.streams.video[0].codec_context.name == "h264"
        assert copy.streams.audio[0].codec_context.sample_rate == 16_000


def test_sound_alone_is_explained_too(session: DetectorSession, tmp_path: Path) -> None:
    write_clip(tmp_path / "voice.m4a", None, example_waveform(3.0))
    verdict, evidence = explain(tmp_path / "voice.m4a", session)
    assert [row["evidence"] for row in evidence.contributions] == ["sound"]
    assert evidence.contributions[0]["change"] is None  # nothing would be left
    assert evidence.boxes == {}
    assert verdict.audio_score is not None


def test_evidence_off_the_face_is_told_from_evidence_on_it(
    explained: tuple[Verdict, Evidence],
) -> None:
    moment = next(m for m, _ in explained[1].moments if m.modality == "visual")
    face = (moment.streams["depth"] != 0).float()[:, 0]
    on, off = (
        share_off_face([(moment, {"flow": face})]),
        share_off_face([(moment, {"flow": 1 - face})]),
    )
    assert on["flow"] == 0
    assert off["flow"] > 0.8
    assert 0.1 < on["area"] < 0.9


def test_the_copy_of_a_longer_file_takes_no_more_than_its_share() -> None:
    for seconds in (1, 30, 60, 600, 1200):
        rate = picture_rate(seconds)
        assert rate is not None
        assert (rate + 32_000) * seconds / 8 <= MAX_BYTES
        assert seconds > 60 or (rate + 32_000) * seconds / 8 <= 4_000_000
    assert picture_rate(7200) is None
    info = MediaInfo("a.mp4", 7200.0, 64, 48, 25.0, "h264", None, None)
    assert Preview(info).finish() is None


def test_folded_columns_keep_their_order_and_their_mean() -> None:
    folding = Folding(4)
    columns = np.arange(50, dtype=np.float32)[:, None] * np.ones((1, 2), np.float32)
    for part in np.split(columns, [7, 20, 33]):
        folding.add(part)
    kept = folding.values()
    assert kept.shape[0] == 2
    assert 4 <= kept.shape[1] <= 8
    assert (np.diff(kept[0]) > 0).all()
    assert kept[0, 0] == pytest.approx(np.arange(50 // kept.shape[1] + 1)[:8].mean(), abs=2)
