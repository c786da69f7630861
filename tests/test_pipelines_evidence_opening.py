"""The opening that is kept while a file is judged is the one that reading it again would give."""

from __future__ import annotations

from pathlib import Path

import torch

from avdetect.example import example_frames, example_waveform
from extractors.media import open_media, write_clip
from extractors.stream_extractor import StreamExtractor
from extractors.streams import Streams
from pipelines.data.samples import unlabelled
from pipelines.evidence.opening import Opening, beginning
from pipelines.train.clips import LONGEST, main_face_of_opening, train_clip


def test_the_opening_of_a_long_file_is_that_of_a_short_one(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    write_clip(path, example_frames(7.5, size=(240, 320)), example_waveform(7.5))
    opening, extractor = Opening(), StreamExtractor()
    with open_media(path) as reader:
        chunks = list(reader)
    for chunk in chunks:
        opening.chunk(chunk)
    for block in extractor(chunks):
        opening.block(block)
    kept = train_clip(unlabelled(path), opening.extract(), 0.0)
    again = main_face_of_opening(path, extractor, 0.0)
    assert kept is not None
    assert again is not None
    assert kept.start == again.start
    assert kept.face is not None
    assert kept.face.steps == LONGEST - kept.start
    rng = None
    ours, theirs = (c.chunk(0, 75, sorted(again.names), rng) for c in (kept, again))
    assert ours.keys() == theirs.keys()
    for name, stream in theirs.items():
        torch.testing.assert_close(ours[name], stream, msg=name)


def test_nothing_is_kept_of_what_begins_later() -> None:
    opening = Opening()
    opening.block(Streams(start=LONGEST, mel=torch.zeros(20, 80, 4)))
    opening.block(Streams(start=10, lead=4, mel=torch.zeros(20, 80, 4)))  # goes on from another
    assert opening.extract().blocks == []
    assert opening.extract().waveform is None


def test_a_beginning_is_a_copy_so_that_the_rest_is_forgotten() -> None:
    block = Streams(start=0, track=1, mel=torch.randn(200, 80, 4), trail=9)
    cut = beginning(block, 150)
    assert cut.steps == 150
    assert cut.trail == 0
    assert cut.mel is not None
    assert block.mel is not None
    assert torch.equal(cut.mel, block.mel[:150])
    assert cut.mel.untyped_storage().nbytes() == cut.mel.numel() * 4
