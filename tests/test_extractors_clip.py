"""A clip holds tracks of one length."""

from __future__ import annotations

import numpy as np
import pytest

from extractors.clip import Clip, MediaConfig, MediaInfo


def test_the_length_is_that_of_the_picture_or_else_of_the_sound() -> None:
    frames, sound = np.zeros((3, 4, 6, 3), np.uint8), np.zeros(3 * 640, np.float32)
    for clip in (Clip(0, frames, sound), Clip(7, frames, None), Clip(7, None, sound)):
        assert clip.steps == 3


def test_tracks_that_do_not_fit_are_refused_with_their_lengths() -> None:
    frames = np.zeros((3, 4, 6, 3), np.uint8)
    with pytest.raises(ValueError, match="expected 3 steps of 640 samples, got 1919 samples"):
        Clip(0, frames, np.zeros(1919, np.float32))
    with pytest.raises(ValueError, match="expected 2 steps of 640 samples, got 1281 samples"):
        Clip(0, None, np.zeros(1281, np.float32))
    with pytest.raises(ValueError, match="got neither"):
        Clip(0, None, None)


def test_a_track_without_a_codec_is_none() -> None:
    info = MediaInfo("a.mp4", 1.0, 64, 48, 25.0, "h264", None, None)
    assert (info.has_video, info.has_audio) == (True, False)


def test_an_unknown_reader_is_refused() -> None:
    with pytest.raises(ValueError, match='"decord" or "pyav", got \'ffmpeg\''):
        MediaConfig(reader="ffmpeg")
