"""Streams on disk: they come back the same, block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_media import chunks

from avdetect.example import example_frames, example_waveform
from extractors.stream_extractor import StreamExtractor
from extractors.stream_file import StreamWriter, read_streams
from extractors.streams import StreamConfig, Streams


@pytest.fixture(scope="module")
def example() -> tuple[np.ndarray, np.ndarray]:
    return example_frames(2.0), example_waveform(2.0)


def test_written_streams_come_back_the_same(
    tmp_path: Path, example: tuple[np.ndarray, np.ndarray]
) -> None:
    blocks = list(StreamExtractor(StreamConfig(block=20, context=4))(chunks(*example, 50)))
    with StreamWriter(tmp_path) as writer:
        for block in blocks:
            writer.add(block)
        writer.write(tmp_path / "a.streams")
    assert [path.name for path in tmp_path.iterdir()] == ["a.streams"]
    again = list(read_streams(tmp_path / "a.streams"))
    assert len(again) > 2
    for one, other in zip(blocks, again, strict=True):
        facts = [(b.start, b.track, b.lead, b.trail, b.entry, b.face_size) for b in (one, other)]
        assert facts[0] == facts[1]
        tensors = [b.present() | b.measures() for b in (one, other)]
        assert tensors[0].keys() == tensors[1].keys()
        for name, stream in tensors[0].items():
            assert torch.equal(stream.nan_to_num(7), tensors[1][name].nan_to_num(7))


def test_streams_of_another_version_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StreamWriter(tmp_path) as writer:
        writer.add(Streams(0, mel=torch.zeros(5, 80, 4)))
        writer.write(tmp_path / "a.streams")
    monkeypatch.setattr("extractors.stream_file.VERSION", 99)
    with pytest.raises(ValueError, match=r"a\.streams: streams of version \d+, not 99"):
        next(read_streams(tmp_path / "a.streams"))
