"""The benchmark's clips: one that is all motion, one as still and as small as real talks are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avdetect.commands.benchmark_clips import CLIPS
from extractors.faces import FaceFinder
from extractors.media import probe, read_clip

SECONDS = 2


@pytest.fixture(scope="module", params=list(CLIPS))
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("clips") / f"{request.param}.mp4"
    CLIPS[request.param](path, SECONDS)
    return path


def test_a_clip_is_of_720p_at_30_frames_with_sound_and_a_face(clip: Path) -> None:
    info = probe(clip)
    assert (info.width, info.height, info.fps) == (1280, 720, 30.0)
    assert info.duration == pytest.approx(SECONDS, abs=0.1)
    read = read_clip(clip)
    assert read.frames is not None
    assert read.waveform is not None
    assert float(np.abs(read.waveform).max()) > 0.3
    finder = FaceFinder()
    (box,) = finder(read.frames[30])
    finder.close()
    assert box[0] < 640 < box[2]
    corner = read.frames[25:, :90, :160].astype(np.int16)
    moved = float(np.abs(np.diff(corner, axis=0)).mean())
    if clip.stem == "talk":
        assert moved < 1.5  # the room stands still
        assert info.video_bit_rate is not None
        assert 1.1e6 < info.video_bit_rate < 1.7e6
    else:
        assert moved > 2
