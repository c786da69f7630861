"""Fine labels: which track is forged, and each platform by the detector that did not see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.data.samples import WHOLE, Sample
from pipelines.evaluation.protocols.fine_labels import (
    fine_labels,
    fine_labels_table,
    found_label,
    true_labels,
)


def clip(name: str, platform: str = "x", **spans: Any) -> Sample:
    tracks: dict[str, Any] = {"visual": (), "audio": (), "sync": ()} | spans
    return Sample(Path(name), "test", "m", "s", "", domain=platform, **tracks)


REAL = clip("real")
VIDEO, SOUND = clip("video", visual=WHOLE), clip("sound", audio=WHOLE)
LAG, BOTH = clip("lag", sync=WHOLE), clip("both", visual=WHOLE, audio=WHOLE)


def scores(score: float, visual: float, audio: float, sync: float | None) -> dict[str, Any]:
    return {"score": score, "visual_score": visual, "audio_score": audio, "sync_score": sync}


def test_a_clips_labels_are_its_forged_tracks() -> None:
    assert [true_labels(s) for s in (REAL, LAG, SOUND, VIDEO, BOTH)] == [{0}, {1}, {3}, {4}, {3, 4}]
    untold = Sample(Path("u"), "test", "m", "s", "", None, None, None, label=True)
    assert true_labels(untold) == set()


def test_a_result_has_the_label_of_its_highest_track_if_it_is_fake_at_all() -> None:
    assert found_label(scores(0.4, 0.9, 0.9, 0.9)) == 0
    assert found_label(scores(0.8, 0.7, 0.9, None)) == 3
    assert found_label(scores(0.8, 0.7, 0.2, 0.9)) == 1
    assert found_label({"score": None}) is None


def test_platforms_are_judged_by_what_was_trained_without_them() -> None:
    samples = [clip(f"{p}-{n}", p, **spans) for p in ("x", "y") for n, spans in (
        ("real", {}), ("video", {"visual": WHOLE}), ("sound", {"audio": WHOLE}))]  # fmt: skip
    right = {"real": scores(0.1, 0, 0, 0), "video": scores(0.9, 0.9, 0, 0),
             "sound": scores(0.9, 0, 0.9, 0)}  # fmt: skip
    wrong = {"real": scores(0.9, 0.9, 0, 0), "video": scores(0.2, 0, 0, 0),
             "sound": scores(0.8, 0.9, 0, 0)}  # fmt: skip
    everywhere = {f"{p}-{n}": row for p in ("x", "y") for n, row in right.items()}
    found = fine_labels(samples, everywhere, {"y": {f"y-{n}": row for n, row in wrong.items()}})
    x, y = found["platforms"]
    assert (x["left_out"], x["auc"], x["label_accuracy"]) == (False, 1.0, 1.0)
    assert (y["left_out"], y["auc"], y["label_accuracy"]) == (True, 0.0, 0.0)
    assert (found["worst"], found["mean_auc"]) == ("y", 0.5)
    assert found["labels"]["sound forged"] == {
        "real": 0, "lips and sound do not fit": 0, "sound forged": 1, "picture forged": 1,
    }  # fmt: skip
    assert found["label_accuracy"] == pytest.approx(0.5)
    assert fine_labels_table(found)[3].startswith("| y | yes | 2 | 1 | 0.000 |")


def test_of_several_labels_any_is_right_and_clips_of_unknown_tracks_have_none() -> None:
    untold = Sample(Path("u"), "test", "m", "s", "", None, None, None, label=True, domain="x")
    rows = {"both": scores(0.9, 0.1, 0.9, 0.2), "u": scores(0.9, 0.9, 0, 0)}
    found = fine_labels([BOTH, untold], rows, {})
    assert (found["told"], found["label_accuracy"]) == (1, 1.0)
    assert fine_labels([untold], {}, {})["told"] == 0
