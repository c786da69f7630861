"""A verdict is values alone: small, told in a line, and the same after it was pickled."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from extractors.media import MediaInfo
from pipelines.detection.verdict import Verdict
from temporal.segment import Segment

CANDIDATES = [Segment(i / 7, i / 7 + 1 / 3, 1 / (i + 2), "audio") for i in range(100)]
VERDICT = Verdict(
    path="/archive/2024/clip.mp4", sha256="ab" * 32, verdict="fake", score=0.934,
    visual_score=0.1, audio_score=0.95, sync_score=None,
    not_judged={"visual": None, "audio": None, "sync": "no face was found"}, uncertain=(0.35, 0.64),
    segments=[Segment(1.0, 2.04, 0.8, "audio")], candidates=CANDIDATES,
    timeline=np.full((250, 3), [0.25, 0.95, np.nan], np.float32),
    streams={"appearance": True, "mel": True},
    faces=[{"track": 0, "start": 0.0, "end": 10.0, "score": 0.1}],
    crowd={"seen": 1, "judged": 1, "time": 0.0},
    media=MediaInfo("/archive/2024/clip.mp4", 10.0, 640, 360, 25.0, "h264", "aac", 44100),
    warnings=[], model={"name": "tiny", "version": "1", "sha256": "cd" * 32},
    elapsed={"decode": 0.1, "extract": 0.2, "judge": 0.3, "total": 0.6},
)  # fmt: skip


def test_its_line_names_verdict_score_file_and_segments() -> None:
    assert repr(VERDICT) == "<Verdict fake, score 0.93, 'clip.mp4', 1 segment>"
    unknown = replace(VERDICT, path="a\n.mp4", verdict="inconclusive", score=None, segments=[])
    assert repr(unknown) == r"<Verdict inconclusive, no score, 'a\n.mp4', 0 segments>"


def test_ten_seconds_are_pickled_in_a_few_kilobytes_and_come_back_equal() -> None:
    content = pickle.dumps(VERDICT)
    assert len(content) < 10_000
    assert pickle.loads(content).to_dict() == VERDICT.to_dict()


def test_plain_values_have_null_where_nothing_was_judged() -> None:
    result = VERDICT.to_dict()
    assert result["timeline"]["audio"][:2] == [0.95, 0.95]
    assert result["timeline"]["sync"] == [None] * 250
    assert result["not_judged"] == {"visual": None, "audio": None, "sync": "no face was found"}
    assert result["crowd"] == {"seen": 1, "judged": 1, "time": 0.0}
    assert result["uncertain"] == [0.35, 0.64]
    assert result["segments"] == [{"start": 1.0, "end": 2.04, "score": 0.8, "modality": "audio"}]


def test_candidates_are_written_short() -> None:
    third = VERDICT.to_dict()["candidates"][1]
    assert third == {"start": 0.1429, "end": 0.4762, "score": 0.3333, "modality": "audio"}


def test_a_segment_has_a_modality_and_a_length() -> None:
    with pytest.raises(ValueError, match="expected a modality"):
        Segment(0.0, 1.0, 0.5, "video")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="start < end"):
        Segment(1.0, 1.0, 0.5, "audio")
