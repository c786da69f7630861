"""An evaluation for people: percent, intervals, and a sentence for whatever else there is."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from avdetect.terminal.evaluation import evaluation_view

PLACE: dict[str, Any] = {
    "protocol": "avdetect", "given": 7, "judged": 6, "segments": 4, "proposals": 30,
    "AP@0.5": 0.7313, "AP@0.5_interval": [0.7, 0.76], "AR@10": 0.5, "AP@0.5:0.95": None,
    "challenge_score": None, "false_per_minute": 1.25, "false_per_minute_interval": [0.0, 2.5],
}  # fmt: skip
SCORE: dict[str, Any] = {
    "given": 7, "scored": 6, "fake": 3, "real": 3, "auc": 0.889, "auc_interval": (0.7, 1.0),
    "nll": 0.5, "nll_interval": (0.25, 0.75),
}  # fmt: skip
UNSCORED = {"given": 7, "scored": 0, "fake": 0, "real": 0, "note": "needs scored files of both"}


def shown(detection: Any, place: Any = PLACE, **more: Any) -> list[str]:
    console = Console(width=200, highlight=False)
    with console.capture() as printed:
        console.print(
            evaluation_view({"detection": detection, "localization": place, **more}),
        )
    return [" ".join(line.split()) for line in printed.get().splitlines()]


def test_shares_are_in_percent_and_what_is_none_is_not() -> None:
    lines = shown({"score": SCORE, "visual_score": SCORE, "audio_score": UNSCORED})
    assert lines[0] == "in %, with 95 % intervals over clips clip picture"
    assert "scored of given 6 of 7 6 of 7" in lines
    assert "AUC 88.9 (70.0–100.0) 88.9 (70.0–100.0)" in lines
    assert "NLL (no %) 0.50 (0.25–0.75) 0.50 (0.25–0.75)" in lines
    assert "AP@0.5 73.1 (70.0–76.0)" in lines
    assert "AR@10 50.0" in lines
    assert "false segments a minute of real video 1.25 (0.00–2.50)" in lines
    assert not any(line.startswith(("AP@0.5:0.95", "challenge")) for line in lines)


def test_what_could_not_be_measured_is_said() -> None:
    lines = shown({"score": UNSCORED}, PLACE | {"segments": 0}, unmatched=3, robustness={})
    assert "detection: needs scored files of both" in lines
    assert "segments: the truth has no forged seconds, so nothing was measured of them" in lines
    assert "! 3 predictions are of no clip of the truth" in lines
    assert any(line.startswith("also measured: robustness; --json") for line in lines)


def test_segments_alone_have_no_table_of_clips() -> None:
    lines = shown({})
    assert lines[0] == "in %, with 95 % intervals over videos (avdetect) segments"


def test_a_comparison_is_a_sentence_and_names_cannot_steer_the_terminal() -> None:
    row = {
        "against": "o\x1b[2J.jsonl", "verdict": "not distinguishable", "difference": 0.05,
        "difference_interval": (-0.1, 0.2),
    }  # fmt: skip
    lines = shown({"score": SCORE}, comparison=row)
    assert (
        r"compared with o\x1b[2J.jsonl: not distinguishable; AUC +5.0 points (-10.0 to +20.0)"
        in lines
    )
