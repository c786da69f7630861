"""A file is judged while it grows, and at last as if it had been whole from the beginning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from avdetect.example import example_frames, example_waveform
from extractors.media import MediaError, write_clip
from extractors.streams import StreamConfig
from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.follow import follow
from pipelines.detection.session import DetectConfig, DetectorSession
from temporal.experts import ExpertConfig
from temporal.windows import WindowConfig

SECONDS = 10.0


@pytest.fixture(scope="module")
def session() -> DetectorSession:
    torch.manual_seed(3)
    small = ExpertConfig(
        dim=16, appearance=8, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
    )
    detector = Detector(DetectorConfig(experts=small)).eval()
    windows, streams = WindowConfig(length=64, stride=48), StreamConfig(block=96)
    config = DetectConfig(windows=windows, streams=streams)
    return DetectorSession(detector, config, {"name": "tiny", "version": "1", "sha256": "00"})


def grown(whole: bytes, path: Path, parts: int) -> Callable[[], bool]:
    """Whether the file is complete; each time it is asked, the file has grown by a part."""
    sizes = iter(np.linspace(0, len(whole), parts + 1).astype(int)[1:])

    def finished() -> bool:
        size = next(sizes, None)
        path.write_bytes(whole[:size])
        return size is None

    return finished


@pytest.mark.parametrize(("suffix", "picture"), [(".mkv", True), (".ts", False)])
def test_the_last_verdict_is_that_of_the_whole_file(
    session: DetectorSession, tmp_path: Path, suffix: str, picture: bool
) -> None:
    film, growing = tmp_path / f"film{suffix}", tmp_path / f"growing{suffix}"
    frames = example_frames(SECONDS, size=(96, 128)) if picture else None
    write_clip(film, frames, example_waveform(SECONDS))
    *before, last = follow(session, growing, grown(film.read_bytes(), growing, 8), lambda: None)
    whole = session.detect(film)
    assert len(before) >= 2
    judged = [len(v.timeline) for v in before]
    assert judged == sorted(set(judged))
    assert judged[-1] < len(whole.timeline) == len(last.timeline)
    assert all(v.warnings[0].startswith("provisional: judged up to") for v in before)
    assert (last.warnings, last.sha256, last.media.duration) == (
        whole.warnings, whole.sha256, whole.media.duration,
    )  # fmt: skip
    for name in ("score", "visual_score", "audio_score", "sync_score"):
        assert getattr(last, name) == pytest.approx(getattr(whole, name), abs=0.02), name
    sound = last.timeline[:, 1] - whole.timeline[:, 1]
    assert float(np.nanmax(np.abs(sound))) < 1e-4


def test_an_index_that_comes_last_leaves_the_final_verdict_alone(
    session: DetectorSession, tmp_path: Path
) -> None:
    film, growing = tmp_path / "film.m4a", tmp_path / "growing.m4a"
    write_clip(film, None, example_waveform(SECONDS))
    whole = film.read_bytes()
    grow = grown(whole, growing, 2)

    def finished() -> bool:
        return grow() or growing.read_bytes() == whole  # after one more half

    (last,) = follow(session, growing, finished, lambda: None)
    assert last.score == session.detect(film).score
    assert not any(w.startswith("provisional") for w in last.warnings)


def test_what_is_no_media_file_in_the_end_is_refused(
    session: DetectorSession, tmp_path: Path
) -> None:
    growing = tmp_path / "growing.mkv"
    with pytest.raises(MediaError, match=r"growing\.mkv"):
        list(follow(session, growing, grown(b"no video at all", growing, 2), lambda: None))
