"""Recorded answers as files: read, measured and judged."""

from __future__ import annotations

import wave
from pathlib import Path
from random import Random

import numpy as np
import pytest

from avdetect.example import example_waveform
from extractors.errors import InputError
from extractors.media import MediaError, write_clip
from pipelines.challenge.call import Call
from pipelines.challenge.recordings import hear_answer, read_answer


def recorded(path: Path, sound: np.ndarray, rate: int = 16_000) -> Path:  # type: ignore[type-arg]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def test_an_answer_is_read_as_it_was_recorded(tmp_path: Path) -> None:
    voice = example_waveform(2.0)
    read = read_answer(recorded(tmp_path / "a.wav", voice))
    assert len(read) == len(voice)
    assert np.abs(read - voice).max() < 1e-3


def test_an_answer_is_measured_and_the_detectors_score_added(tmp_path: Path) -> None:
    call, asked = Call().ask(0.0, Random(0))
    path = recorded(tmp_path / "a.wav", example_waveform(3.0))
    heard = hear_answer(call, asked.nonce, path, lambda recording: 0.9, 5.0)
    ((_, answer),) = heard.answers
    assert answer.measured.pitch == pytest.approx(120, rel=0.05)
    assert heard.evidence == pytest.approx(0.125 * np.log(9))
    with pytest.raises(InputError, match="answered once"):
        hear_answer(heard, asked.nonce, path, lambda recording: 0.9, 6.0)


def test_what_is_no_answer_is_one_sentence(tmp_path: Path) -> None:
    call, asked = Call().ask(0.0)
    (tmp_path / "notes.wav").write_text("words")
    with pytest.raises(MediaError, match=r"notes\.wav"):
        hear_answer(call, asked.nonce, tmp_path / "notes.wav", lambda recording: 0.5, 0.0)
    long = recorded(tmp_path / "long.wav", np.zeros(8000 * 61), rate=8000)
    with pytest.raises(MediaError, match=r"long\.wav is longer than the 60 s"):
        read_answer(long)
    quiet = recorded(tmp_path / "quiet.wav", np.zeros(32_000))
    with pytest.raises(InputError, match="audible"):
        hear_answer(call, asked.nonce, quiet, lambda recording: 0.5, 0.0)


def test_a_picture_without_sound_is_no_answer(tmp_path: Path) -> None:
    write_clip(tmp_path / "mute.mp4", np.zeros((10, 32, 32, 3), np.uint8), None)
    with pytest.raises(MediaError, match=r"mute\.mp4 has no sound"):
        read_answer(tmp_path / "mute.mp4")
