"""The model card's tables of drawn results, of which every number is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipelines.data.manifest import WHOLE
from pipelines.data.samples import Sample
from pipelines.evaluation.model_card import Judged, partial_tables, picture_tables, speech_tables

Row = dict[str, Any]


def clip(name: str, fake: bool, source: str = "a", method: str = "", sound: bool = False) -> Sample:
    spans = WHOLE if fake else ()
    return Sample(
        Path(name), "dev", method or ("swap" if fake else "real"), source, "",
        None if sound else spans, spans if sound else (), None, label=fake,
    )  # fmt: skip


def result(score: float, verdict: str, **more: Any) -> Row:
    return {
        "status": "ok", "verdict": verdict, "score": score, "visual_score": score,
        "audio_score": score, "segments": [], "media": {"duration": 6.0}, **more,
    }  # fmt: skip


def row_of(lines: list[str], name: str) -> list[str]:
    (found,) = [each for each in lines if each.startswith(f"| {name} |")]
    return [cell.strip() for cell in found.strip("|").split("|")][1:]


def test_pictures_are_counted_by_manifest_and_together() -> None:
    one = Judged(
        "1",
        [clip("r1", False), clip("r2", False), *(clip(f"f{i}", True) for i in range(3))],
        {
            "r1": result(0.1, "real"), "r2": result(0.5, "inconclusive"),
            "f0": result(0.9, "fake"), "f1": result(0.8, "fake"), "f2": result(0.3, "real"),
        },
    )  # fmt: skip
    two = Judged("2", [clip("s1", False, "b")], {"s1": result(0.7, "fake")})
    tables = picture_tables([one, two])
    calls = tables["Clips with picture"]
    assert row_of(calls, "genuine clips are called") == [
        "0 of 2 fake, 1 real, 1 inconclusive", "1 of 1 fake, 0 real, 0 inconclusive",
        "1 of 3 fake, 1 real, 1 inconclusive",
    ]  # fmt: skip
    area, none, both = row_of(calls, "picture: AUC")
    assert area.startswith("0.83 ("), "5 of 6 pairs"
    assert area.endswith("; 3 / 2, 5 of 5 scored")
    assert none == "– (1 of 1)"
    assert both.startswith("0.78 ("), "7 of 9 pairs"
    assert row_of(calls, "picture: pairs of one source")[2] == "0.83; 6 pairs, 1 sources"
    assert "6 of 6 files were judged." in calls
    assert row_of(tables["Generators of the picture"], "swap (1)") == ["3", "0.78", "2"]
    assert row_of(tables["Sources"], "a") == ["0 of 2", "2 of 3", "0.83 (6 pairs)"]
    assert row_of(tables["Sources"], "b") == ["1 of 1", "0 of 0", "–"]


def test_a_generator_of_two_clips_is_too_few_to_tell() -> None:
    samples = [clip("r", False), clip("f", True), clip("g", True)]
    results = {"r": result(0.1, "real"), "f": result(0.9, "fake"), "g": result(0.9, "fake")}
    (table,) = [picture_tables([Judged("1", samples, results)])["Generators of the picture"]]
    assert table[-1] == "Fewer than 3: swap (1)."


def test_the_worst_source_of_speech_has_enough_genuine_clips() -> None:
    samples = [clip(f"a{i}", False, "many", sound=True) for i in range(8)]
    samples += [clip("b0", False, "few", sound=True), clip("f", True, "many", sound=True)]
    results = {str(s.path): result(0.2, "real") for s in samples}
    results |= {name: result(0.9, "fake") for name in ("a0", "b0", "f")}
    lines = speech_tables([Judged("d", samples, results)])["Speech"]
    assert row_of(lines, "worst source with 8 genuine clips or more") == ["1 of 8 (many)"]
    assert row_of(lines, "genuine called fake") == ["2 of 9"]
    assert row_of(lines, "fakes called fake") == ["1 of 1"]


def test_forged_seconds_are_found_among_those_of_their_clip() -> None:
    forged = Sample(
        Path("p"), "dev", "splice", "a", "", None, ((2.0, 4.0),), None, label=True
    )  # fmt: skip
    curve = np.full((150, 3), np.nan, np.float32)
    curve[:, 1] = 0.1
    curve[50:100, 1] = 0.9
    found = [{"start": 2.0, "end": 4.0, "score": 0.9, "modality": "audio"}]
    rows = np.array([[0.9, 2.0, 4.0]])
    results = {
        "p": result(0.9, "fake", timeline=curve, segments=found, candidates=rows),
        "r": result(0.9, "fake", segments=found, candidates=rows),
    }
    samples = [forged, clip("r", False, sound=True)]
    lines = partial_tables([Judged("sound", samples, results)])["Partial forgeries: sound"]
    clips, steps, half, *_ = row_of(lines, "splice")
    assert (clips, steps) == ("1", "1.00")
    assert half.startswith("0.50 ("), "the genuine clip's proposal has the same score"
    assert lines[-1] == (
        "1 of the 1 forged stretches overlap with one of 1 reports; on genuine clips 1 segments "
        "are reported in 0.1 minutes."
    )
