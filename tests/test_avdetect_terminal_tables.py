"""Results as people read them."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from avdetect.terminal.tables import MAX_SEGMENTS, printable, verdict_table
from pipelines.report.wording import clock

MEDIA = {
    "duration": 9.6,
    "width": 640,
    "height": 360,
    "video_codec": "h264",
    "audio_codec": "aac",
}


def text_of(**changes: Any) -> str:
    result: dict[str, Any] = {
        "path": "a.mp4",
        "verdict": "real",
        "score": 0.04,
        "visual_score": 0.03,
        "audio_score": 0.02,
        "sync_score": 0.04,
        "segments": [],
        "streams": {"appearance": True, "mel": True},
        "faces": [{"track": 0}],
        "media": MEDIA,
        "warnings": [],
        "elapsed": {"total": 3.44},
        **changes,
    }
    console = Console(file=StringIO(), width=100)
    console.print(verdict_table(result))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_real_clip_says_what_it_rests_on() -> None:
    text = text_of()
    assert "a.mp4: real, score 0.04" in text
    assert "judged: 0:09.60, 640×360, 1 face; took 3.4 s" in text
    assert "evidence: the face close up; the sound" in text
    assert "missing" not in text


def test_a_verdict_without_score_shows_none_and_says_why() -> None:
    scores = dict.fromkeys(("score", "visual_score", "audio_score", "sync_score"))
    reasons = {"visual": "no face was found", "audio": "no speech in the sound", "sync": "none"}
    text = text_of(verdict="inconclusive", not_judged=reasons, **scores)
    assert "a.mp4: inconclusive\n" in text
    for reason in reasons.values():
        assert f"not judged: {reason}" in text


def test_faces_that_were_left_out_are_counted() -> None:
    text = text_of(crowd={"seen": 9, "judged": 4, "time": 2.0})
    assert "1 face (at 0:02.00, 4 of 9 faces were judged); took" in text


def test_a_long_list_of_segments_is_cut_and_says_so() -> None:
    segments = [
        {"start": i, "end": i + 0.5, "score": i / 100, "modality": "sync"} for i in range(30)
    ]
    text = text_of(segments=segments)
    assert text.count("lips and sound together") == 1 + MAX_SEGMENTS
    assert f"and {30 - MAX_SEGMENTS} more" in text
    assert "0:29.00" in text
    assert "0:00.00" not in text


def test_warnings_cannot_use_markup() -> None:
    assert "! [bold]x[/bold]" in text_of(warnings=["[bold]x[/bold]"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.00"), (59.994, "0:59.99"), (59.996, "1:00.00"), (3600, "1:00:00.00")],
)
def test_times_round_into_the_next_minute(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_letters_of_all_scripts_are_printable_but_no_controls() -> None:
    assert printable("čaj 茶.mp4") == "čaj 茶.mp4"
    assert printable("a\u202eb\x9b\x7f\u200b") == r"a\u202eb\x9b\x7f\u200b"
