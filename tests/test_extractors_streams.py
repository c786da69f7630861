"""Streams: kept and read back, and refused where their lengths differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from avdetect.example import example_frames, example_waveform
from extractors.media import SAMPLES_PER_STEP, Clip
from extractors.stream_extractor import StreamExtractor
from extractors.streams import Streams, load_streams, save_streams


def chunks(frames: np.ndarray | None, waveform: np.ndarray | None, size: int) -> Iterator[Clip]:
    steps = len(frames) if frames is not None else len(waveform) // SAMPLES_PER_STEP
    for start in range(0, steps, size):
        stop = min(start + size, steps)
        yield Clip(
            start,
            None if frames is None else frames[start:stop],
            None
            if waveform is None
            else waveform[start * SAMPLES_PER_STEP : stop * SAMPLES_PER_STEP],
        )


@pytest.fixture(scope="module")
def example() -> tuple[np.ndarray, np.ndarray]:
    return example_frames(2.0), example_waveform(2.0)


def test_saved_streams_come_back_the_same(
    tmp_path: Path, example: tuple[np.ndarray, np.ndarray]
) -> None:
    blocks = list(StreamExtractor()(chunks(*example, 50)))
    save_streams(tmp_path / "a.streams", blocks)
    again = load_streams(tmp_path / "a.streams")
    assert [(b.start, b.track, b.face_size) for b in again] == [
        (b.start, b.track, b.face_size) for b in blocks
    ]
    for one, other in zip(blocks, again, strict=True):
        assert one.present().keys() == other.present().keys()
        for name, stream in one.present().items():
            assert torch.equal(stream, other.present()[name])


def test_streams_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        Streams(0, mel=torch.zeros(5, 80, 4), depth=torch.zeros(4, 1, 56, 56))
