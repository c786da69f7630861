"""Channels: what players let people hear is what is judged, and nothing cancels out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_media import RATE, DrawnPicture, DrawnSound, write_tracks

from extractors.decoding.mixing import Mixer
from extractors.media import open_media

STEREO = ("FL", "FR")
SURROUND = ("FL", "FR", "FC", "LFE", "BL", "BR")


def voice(seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    white = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (0.1 * np.convolve(white, np.hanning(9) / 4.5, "same")).astype(np.float32)


def mixed(channels: np.ndarray, names: tuple[str, ...], size: int = 1024) -> tuple:
    mixer = Mixer(RATE)
    pieces = [
        mixer.mono(channels[:, at : at + size], names) for at in range(0, channels.shape[1], size)
    ]
    return np.concatenate(pieces), mixer.replaced


def test_ordinary_channels_are_averaged() -> None:
    left, right = voice(seed=1), voice(seed=2)
    for pair in ((left, right), (left, left), (left, np.zeros_like(left))):
        mix, replaced = mixed(np.stack(pair), STEREO)
        assert np.allclose(mix, np.mean(pair, axis=0), atol=1e-6)
        assert replaced == 0


def test_of_channels_that_cancel_out_the_loudest_is_heard() -> None:
    sound = voice()
    mix, replaced = mixed(np.stack([0.8 * sound, -sound]), STEREO)
    assert np.array_equal(mix, -sound)
    assert replaced == len(sound)


def test_a_voice_that_hides_in_a_part_is_heard_from_there_on() -> None:
    sound = voice(6.0)
    right = sound.copy()
    right[2 * RATE : 4 * RATE] *= -1
    mix, replaced = mixed(np.stack([sound, right]), STEREO)
    assert np.abs(mix[: 2 * RATE] - sound[: 2 * RATE]).max() < 1e-6
    power = np.square(mix[2 * RATE : 4 * RATE]).reshape(-1, 1600).mean(axis=1)
    assert np.all(power[15:] > 0.5 * np.square(sound).mean())  # after a second and a half
    assert np.abs(mix[-RATE:] - sound[-RATE:]).max() < 1e-6
    assert 0.5 < replaced / RATE < 2.5


def test_the_centre_counts_as_much_as_all_others_and_the_bass_nothing() -> None:
    channels = np.stack([voice(seed=n) for n in range(6)])
    mix, _ = mixed(channels, SURROUND)
    expected = 0.5 * channels[2] + channels[[0, 1, 4, 5]].sum(axis=0) / 8
    assert np.allclose(mix, expected, atol=1e-6)
    channels[[0, 1, 4, 5]] = 0
    mix, replaced = mixed(channels, SURROUND)
    assert np.allclose(mix, 0.5 * channels[2], atol=1e-6)
    assert replaced == 0


def test_one_of_many_channels_is_heard_as_loud_as_it_is() -> None:
    channels = np.zeros((6, RATE), np.float32)
    channels[4] = voice()
    mix, replaced = mixed(channels, SURROUND)
    assert np.array_equal(mix, channels[4])
    assert replaced == RATE


def test_broken_samples_do_not_stay(tmp_path: Path) -> None:
    sound = voice(2.0)
    broken = np.stack([sound, sound])
    broken[:, 100] = np.nan
    mix, replaced = mixed(broken, STEREO)
    assert np.isfinite(mix).all()
    assert np.array_equal(mix[1024:], sound[1024:])
    assert replaced == 0


@pytest.mark.parametrize("name", ["a.wav", "a.m4a", "a.mp4", "a.mkv"])
def test_a_file_in_opposite_phase_is_heard_and_said(tmp_path: Path, name: str) -> None:
    sound = voice(2.0)
    codec = "pcm_s16le" if name in ("a.wav", "a.mkv") else "aac"
    tracks: list[DrawnPicture | DrawnSound]
    tracks = [DrawnSound(np.stack([sound, -sound]), codec=codec, layout="stereo")]
    if name in ("a.mp4", "a.mkv"):
        tracks.append(DrawnPicture(range(50)))
    with open_media(write_tracks(tmp_path / name, *tracks)) as media:
        waveform = np.concatenate([c.waveform for c in media if c.waveform is not None])
        assert any("cancel out" in line and "for 2." in line for line in media.warnings)
    assert np.square(waveform).mean() > 0.8 * np.square(sound).mean()


def test_the_centre_of_a_file_is_found_by_its_layout(tmp_path: Path) -> None:
    channels = np.zeros((6, 2 * RATE), np.float32)
    channels[2] = voice(2.0)
    sound = DrawnSound(channels, codec="flac", layout="5.1")
    with open_media(write_tracks(tmp_path / "a.flac", sound)) as media:
        waveform = np.concatenate([c.waveform for c in media if c.waveform is not None])
        assert media.warnings == []
    assert np.abs(waveform[: 2 * RATE] - channels[2] / 2).max() < 1e-3
