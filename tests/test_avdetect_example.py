"""The drawn clip: its lips and its sound say the same, at the same time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avdetect.example import example_clip, example_frames, example_waveform, loudness
from extractors.faces import track_faces
from extractors.media import read_clip

INNER_LIPS = (13, 14)  # of the face mesh: the middle of the upper and of the lower one


def lip_gaps(frames: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return how far the lips are apart in each frame (T, H, W, 3), in pixels."""
    (track,) = track_faces(frames)
    assert track.start == 0
    upper, lower = (track.landmarks[:, index, 1] for index in INNER_LIPS)
    return lower - upper


def test_a_face_tracker_follows_the_lips_and_they_follow_the_sound(
    face_frames: np.ndarray[Any, Any], face_waveform: np.ndarray[Any, Any]
) -> None:
    rms = np.sqrt((face_waveform.reshape(-1, 640) ** 2).mean(axis=1))  # (T,)
    assert np.corrcoef(lip_gaps(face_frames), rms)[0, 1] > 0.9


def test_lagging_lips_move_later() -> None:
    late = example_frames(2.0, size=(240, 320), lag=0.2)
    gaps, times = lip_gaps(late), (np.arange(50) + 0.5) / 25
    assert np.corrcoef(gaps, loudness(times - 0.2))[0, 1] > 0.9
    assert np.corrcoef(gaps, loudness(times))[0, 1] < 0.5


def test_the_sound_has_its_pitch_and_its_pauses(face_waveform: np.ndarray[Any, Any]) -> None:
    spectrum = np.abs(np.fft.rfft(face_waveform[:6400]))  # one vowel: 2.5 Hz a bin
    harmonics = spectrum[np.arange(1, 8) * 48]
    between = spectrum[np.arange(1, 8) * 48 + 24]
    assert (harmonics > 3 * between).all()
    assert np.abs(face_waveform[12_900:19_100]).max() == 0  # the third syllable rests
    assert np.abs(face_waveform).max() == pytest.approx(0.6)


def test_the_same_call_draws_the_same() -> None:
    pictures = [example_frames(0.2, size=(60, 80)) for _ in range(2)]
    sounds = [example_waveform(0.2) for _ in range(2)]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    np.testing.assert_array_equal(sounds[0], sounds[1])


def test_the_clip_has_picture_and_sound_of_its_length(tmp_path: Path) -> None:
    path = tmp_path / "new" / "example.mp4"
    example_clip(path, seconds=0.4)
    clip = read_clip(path)
    assert clip.steps == 10
    assert clip.frames is not None
    assert clip.waveform is not None
