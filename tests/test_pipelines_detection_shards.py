"""Shards of a long video: what is joined is what the video says at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avdetect.example import example_frames, example_waveform
from extractors.media import MediaInfo, write_clip
from extractors.streams import StreamConfig
from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.session import DetectConfig, DetectorSession
from pipelines.detection.shards import (
    LongVideoError,
    Piece,
    join_pieces,
    pack,
    plan_shards,
    unpack,
)
from pipelines.detection.timelines import Timeline
from pipelines.streams.walk import CONTEXT, with_context
from temporal.experts import ExpertConfig
from temporal.windows import WindowConfig

INFO = MediaInfo("film.mp4", 60.0, 320, 240, 25.0, "h264", "aac", 44100)
TIMES = {"decode": 0.5, "extract": 1.0, "judge": 0.25, "total": 1.75}


def timeline(
    track: int | None,
    span: range,
    entry: list[float] | None = None,
    exit_: list[float] | None = None,
) -> Timeline:
    """A timeline whose opinions are the numbers of its steps."""
    steps = torch.arange(span.start, span.stop, dtype=torch.float32)
    return Timeline(
        track, False, span.start, frozenset({"mel"} if track is None else {"flow"}), 80.0, 10.0,
        steps[:, None].repeat(1, 3), torch.rand(len(steps), 5, 3), torch.rand(len(steps), 5, 3, 2),
        steps if track is None else None, entry, exit_,
    )  # fmt: skip


def piece(span: range, timelines: list[Timeline], reached: int | None = None) -> Piece:
    first = span.start == 0
    reached = span.stop + CONTEXT if reached is None else reached
    return Piece(span, reached, INFO, "00" if first else None, timelines, ["odd"], TIMES)


def test_shards_cover_a_video_and_none_is_much_shorter_or_longer() -> None:
    for steps in (1, 900, 1400, 1600, 123_456):
        shards = plan_shards(steps, 1000)
        assert [s.start for s in shards[1:]] == [s.stop for s in shards[:-1]]
        assert (shards[0].start, shards[-1].stop) == (0, steps)
        assert all(len(s) == 1000 for s in shards[:-1])
        assert len(shards[-1]) <= 1500
        assert len(shards) == 1 or len(shards[-1]) >= 500


def test_a_shard_is_read_with_context_but_not_before_the_file() -> None:
    assert with_context(range(1000)) == range(1000 + CONTEXT)
    assert with_context(range(1000, 2000)) == range(1000 - CONTEXT, 2000 + CONTEXT)


def test_a_packed_piece_comes_back_the_same() -> None:
    one = piece(range(40), [timeline(None, range(40)), timeline(3, range(5, 40), None, [1, 2, 3])])
    other = unpack(pack(one))
    for name in ("span", "reached", "info", "sha256", "warnings", "elapsed"):
        assert getattr(other, name) == getattr(one, name)
    for a, b in zip(one.timelines, other.timelines, strict=True):
        for name in a.__dataclass_fields__:
            x, y = getattr(a, name), getattr(b, name)
            assert torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y


def test_sound_is_joined_end_to_end_and_facts_are_added_up() -> None:
    spans = [range(40), range(40, 80), range(80, 90)]
    whole = join_pieces(piece(s, [timeline(None, s)]) for s in spans)
    (sound,) = whole.timelines
    assert torch.equal(sound.opinions[:, 0], torch.arange(90.0))
    assert sound.loudness is not None
    assert len(sound.loudness) == 90
    assert (whole.span, whole.sha256, whole.warnings) == (range(90), "00", ["odd"])
    assert whole.elapsed == {stage: 3 * seconds for stage, seconds in TIMES.items()}


def test_faces_go_on_by_their_place_and_strangers_do_not() -> None:
    left, right, above = [50.0, 100.0, 60.0], [250.0, 100.0, 60.0], [150.0, 20.0, 60.0]
    before = [
        timeline(0, range(40), None, left),
        timeline(1, range(40), None, right),
        timeline(2, range(30)),  # gone before the cut
    ]
    after = [  # found in another order
        timeline(0, range(40, 80), [252.0, 101.0, 61.0]),
        timeline(1, range(40, 80), [51.0, 99.0, 59.0]),
        timeline(2, range(40, 80), above),  # the lead has it, the trail had not
        timeline(3, range(60, 80)),
    ]
    whole = join_pieces([piece(range(40), before), piece(range(40, 80), after)])
    spans = {t.track: (t.start, t.stop) for t in whole.timelines}
    assert spans == {0: (0, 80), 1: (0, 80), 2: (0, 30), 3: (40, 80), 4: (60, 80)}
    assert all(torch.equal(t.opinions[:, 0], torch.arange(80.0)) for t in whole.timelines[:2])


def test_a_face_that_leaves_and_another_that_comes_at_the_cut_are_two() -> None:
    place = [50.0, 100.0, 60.0]
    pieces = [
        piece(range(40), [timeline(0, range(40))]),  # nothing of it after the cut
        piece(range(40, 80), [timeline(0, range(40, 80), place)]),
    ]
    assert [t.track for t in join_pieces(pieces).timelines] == [0, 1]


def test_the_whole_ends_where_reading_broke_off() -> None:
    spans = [range(40), range(40, 80), range(80, 120)]
    pieces = [
        piece(spans[0], [timeline(None, spans[0])]),
        piece(spans[1], [timeline(None, range(40, 60))], reached=60),
        piece(spans[2], [timeline(None, spans[2])]),
    ]
    (sound,) = join_pieces(pieces).timelines
    assert torch.equal(sound.opinions[:, 0], torch.arange(60.0))


@pytest.fixture(scope="module")
def session() -> DetectorSession:
    torch.manual_seed(3)
    small = ExpertConfig(
        dim=16, appearance=8, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
    )
    config = DetectConfig(
        windows=WindowConfig(length=128, stride=64), streams=StreamConfig(block=192)
    )
    config = replace(config, media=replace(config.media, reader="pyav", threads=1))
    detector = Detector(DetectorConfig(name="tiny", experts=small)).eval()
    return DetectorSession(detector, config, {"name": "tiny", "version": "1", "sha256": "00"})


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen seconds with two faces alike, of which the one on the right appears after seven."""
    frames = example_frames(16.0, size=(180, 240))
    second = frames.copy()
    second[:175] = 128
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    pair = np.concatenate([frames, second], axis=2)
    write_clip(path, pair, example_waveform(16.0), options={"g": "50"}, sample_rate=16_000)
    return path


def test_a_video_judged_in_shards_is_judged_as_at_once(
    session: DetectorSession, film: Path
) -> None:
    once = session.detect(film)
    shards = plan_shards(400, 192)
    assert len(shards) == 2
    pieces = [unpack(pack(session.read_piece(film, span, None))) for span in shards]
    joined = session.conclude("film.mp4", pieces)
    assert joined.path == joined.media.path == "film.mp4"
    assert (joined.sha256, joined.verdict, joined.streams) == (
        once.sha256, once.verdict, once.streams,
    )  # fmt: skip
    for name in ("score", "visual_score", "audio_score", "sync_score"):
        assert getattr(joined, name) == pytest.approx(getattr(once, name), abs=0.02), name
    assert len(once.faces) == len(joined.faces) == 2
    for a, b in zip(once.faces, joined.faces, strict=True):
        assert (a["start"], a["end"]) == pytest.approx((b["start"], b["end"]), abs=0.05)
        assert a["score"] == pytest.approx(b["score"], abs=0.02)
    assert once.timeline.shape == joined.timeline.shape
    assert np.array_equal(np.isnan(once.timeline), np.isnan(joined.timeline))
    difference = np.abs(np.nan_to_num(once.timeline) - np.nan_to_num(joined.timeline))
    assert difference[:, 1].max() < 1e-4  # the sound: the same windows of the same samples
    assert difference.max() < 0.1  # faces: MediaPipe begins to look elsewhere


def test_a_video_that_is_too_long_asks_to_be_cut(session: DetectorSession, film: Path) -> None:
    with pytest.raises(LongVideoError) as caught:
        session.read_piece(film, None, None, shard=192)
    assert caught.value.spans == [range(192), range(192, 400)]
