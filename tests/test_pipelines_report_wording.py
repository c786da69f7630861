"""Results in words."""

from __future__ import annotations

from typing import Any

import pytest

from extractors import streams
from pipelines.evidence import ablation
from pipelines.report.wording import EVIDENCE, STREAMS, clock, crowd_words, why_not


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


def test_what_has_no_score_gives_the_reason_of_its_result() -> None:
    reasons = {"visual": None, "audio": "no speech in the sound", "sync": "no face was found"}
    result: Any = {"not_judged": reasons}
    assert why_not("audio", result) == "no speech in the sound"
    assert why_not("sync", result) == "no face was found"
    older: Any = {}
    assert why_not("audio", older) == "the result does not say why"


def test_a_crowd_is_told_only_where_faces_were_left_out() -> None:
    few, many = ({"seen": n, "judged": 4, "time": 2.0} for n in (4, 9))
    results: Any = ({"crowd": few}, {"crowd": many}, {})
    told = "at 0:02.00, 4 of 9 faces were judged"
    assert [crowd_words(result) for result in results] == [None, told, None]
