"""Results in words."""

from __future__ import annotations

from typing import Any

import pytest

from extractors import streams
from pipelines.evidence import ablation
from pipelines.report.wording import EVIDENCE, STREAMS, clock, why_not


def test_every_stream_and_every_kind_of_evidence_has_a_name() -> None:
    assert STREAMS.keys() == set(streams.STREAMS)
    assert EVIDENCE.keys() == ablation.EVIDENCE.keys()
    assert frozenset().union(*ablation.EVIDENCE.values()) == set(streams.STREAMS)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0:00.00"), (59.994, "0:59.99"), (59.996, "1:00.00"), (3599.999, "1:00:00.00")],
)
def test_a_time_is_rounded_before_it_is_cut_into_minutes(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("modality", "video", "audio", "faces", "reason"),
    [
        ("visual", None, "aac", [], "no picture in the file"),
        ("audio", None, "aac", [], "too little evidence"),
        ("audio", "h264", None, [{}], "no sound in the file"),
        ("visual", "h264", None, [{}], "too little evidence"),
        ("sync", "h264", "aac", [], "no face found"),
        ("sync", "h264", "aac", [{}], "too little evidence"),
        ("sync", None, "aac", [], "no picture in the file"),
    ],
)
def test_what_has_no_score_lacks_what_it_is_judged_by(
    modality: str, video: str | None, audio: str | None, faces: list[Any], reason: str
) -> None:
    result = {"media": {"video_codec": video, "audio_codec": audio}, "faces": faces}
    assert why_not(modality, result) == reason
