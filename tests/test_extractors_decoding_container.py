"""A part of a file, read by itself, is what the whole file has there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from extractors.decoding.container import RUN_UP, frames_from
from extractors.decoding.sections import Retiming
from extractors.media import (
    SAMPLE_RATE,
    SAMPLES_PER_STEP,
    Clip,
    MediaConfig,
    open_media,
    read_clip,
    write_clip,
)

SECONDS = 12
SIZE = (32, 64)
PYAV = MediaConfig(reader="pyav", max_chunk_steps=17)
DECORD = MediaConfig(max_chunk_steps=17)


def frames() -> np.ndarray:
    """Frames (300, 32, 64, 3) of noise that moves by a pixel a step, so that each is another."""
    noise = np.random.default_rng(0).integers(0, 255, (8, 16), np.uint8)
    wide = np.tile(np.kron(noise, np.ones((4, 4), np.uint8)), (1, 6))
    moving = [wide[:, step % 64 : step % 64 + 64] for step in range(25 * SECONDS)]
    shade = np.linspace(0.4, 1.0, 25 * SECONDS)[:, None, None, None]
    return (np.repeat(np.stack(moving)[..., None], 3, axis=3) * shade).astype(np.uint8)


def waveform(rate: int) -> np.ndarray:
    """A chirp, of which no two places are alike."""
    times = np.arange(rate * SECONDS) / rate
    return (0.5 * np.sin(2 * np.pi * (200 + 60 * times) * times)).astype(np.float32)


@pytest.fixture
def long_clip(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, codec: str, options: dict[str, str], rate: int = 44_100) -> Path:
        path = tmp_path / name
        write_clip(
            path, frames(), waveform(rate), video_codec=codec, options=options, sample_rate=rate
        )
        return path

    return write


def read_span(path: Path, config: MediaConfig, span: range) -> Clip:
    with open_media(path, config, span) as reader:
        clips = list(reader)
        assert reader.warnings == []
    assert clips[0].start == span.start
    return Clip(
        span.start,
        np.concatenate([c.frames for c in clips if c.frames is not None]),
        np.concatenate([c.waveform for c in clips if c.waveform is not None]),
    )


@pytest.mark.parametrize(
    ("name", "codec", "options", "config"),
    [
        ("closed.mp4", "libx264", {"g": "40"}, PYAV),
        ("open.mp4", "libx264", {"g": "40", "x264-params": "open-gop=1:bframes=5"}, PYAV),
        ("open.mkv", "libx265", {"x265-params": "log-level=none:keyint=40:open-gop=1"}, PYAV),
        ("decord.mp4", "libx264", {"g": "40"}, DECORD),
        ("no_index.ts", "libx264", {"g": "40"}, PYAV),
    ],
)
def test_a_part_has_the_frames_and_the_sound_of_the_whole(long_clip, name, codec, options, config):
    path = long_clip(name, codec, options)
    whole = read_clip(path, config)
    assert whole.frames is not None
    assert whole.waveform is not None
    for span in (range(50), range(77, 160), range(200, 300)):
        part = read_span(path, config, span)
        assert np.array_equal(part.frames, whole.frames[span.start : span.stop])
        heard = whole.waveform[span.start * SAMPLES_PER_STEP : span.stop * SAMPLES_PER_STEP]
        # the resampler begins at another sample: half a one off at 1.6 kHz and amplitude 0.5
        assert np.abs(part.waveform - heard).max() < 0.17


def test_sound_alone_is_read_in_parts_too(tmp_path):
    path = tmp_path / "sound.m4a"
    write_clip(path, None, waveform(SAMPLE_RATE))
    whole = read_clip(path, PYAV).waveform
    assert whole is not None
    with open_media(path, PYAV, range(100, 150)) as reader:
        part = np.concatenate([c.waveform for c in reader if c.waveform is not None])
    assert np.abs(part - whole[100 * SAMPLES_PER_STEP : 150 * SAMPLES_PER_STEP]).max() < 0.01


def test_a_part_ends_with_the_file(long_clip):
    path = long_clip("clip.mp4", "libx264", {})
    part = read_span(path, PYAV, range(250, 999))
    assert part.steps == 50


def test_the_way_to_a_part_is_short(long_clip):
    path = long_clip("clip.mp4", "libx264", {"g": "25"})
    for track in (0, 1):
        first = next(frames_from(str(path), track, Retiming(), 9.0))
        assert 9.0 - RUN_UP - 1.1 < first.time <= 9.0
        assert next(frames_from(str(path), track, Retiming(), None)).time < 0.1


def test_where_the_index_leads_too_far_all_is_read(long_clip, monkeypatch):
    from extractors.decoding import container

    path = long_clip("clip.mp4", "libx264", {"g": "25"})
    monkeypatch.setattr(container, "RUN_UP", -3.0)
    assert next(frames_from(str(path), 0, Retiming(), 5.0)).time < 0.1
