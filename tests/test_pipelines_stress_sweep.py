"""Robustness: a detector that looks at one thing falls where that thing is disturbed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from extractors.media import Clip, MediaError, read_chunks
from pipelines.data.samples import WHOLE, Sample
from pipelines.stress.perturb import OPERATORS
from pipelines.stress.sweep import Perturbing, chosen_clips, judge_perturbed, robustness, work_ahead


class RedDetector:
    """Takes a clip for fake as far as it is red; knows nothing of sound."""

    def __init__(self, sha256: str = "ab") -> None:
        self.model = {"name": "red", "version": "1", "sha256": sha256}
        self.judged = 0

    def detect(
        self, path: str, change: Callable[[Iterable[Clip]], Iterable[Clip]] = iter
    ) -> SimpleNamespace:
        self.judged += 1
        frames = np.concatenate(
            [c.frames for c in change(read_chunks(path)) if c.frames is not None]
        )
        red = float(frames[..., 0].mean() - frames[..., 1].mean()) / 512 + 0.5
        return SimpleNamespace(score=red, visual_score=red, audio_score=None, sync_score=None)


@pytest.fixture
def samples(make_clip: Callable[..., Path], tmp_path: Path) -> list[Sample]:
    from extractors.media import write_clip

    found = []
    for number in range(6):
        fake = number % 2 == 1
        frames = np.full((5, 32, 32, 3), 100, np.uint8)
        frames[..., 0] += np.uint8(60 * fake + 4 * number)
        path = tmp_path / f"{number}.mp4"
        write_clip(path, frames, None)
        method = "painted" if fake else "real"
        found.append(
            Sample(path, "dev", method, "s", str(number), WHOLE if fake else (), None, None)
        )
    return found


def clean_of(samples: list[Sample], session: RedDetector) -> dict[str, dict[str, Any]]:
    return {str(s.path): vars(session.detect(str(s.path))) for s in samples}


def test_a_detector_of_red_falls_without_colour_and_not_by_flips_of_sound(
    samples: list[Sample], tmp_path: Path
) -> None:
    session = RedDetector()
    perturbing = Perturbing(("grey", "gaussian_blur", "noise"), (1, 5))
    rows = judge_perturbed(samples, session, perturbing, tmp_path / "p.jsonl")  # type: ignore[arg-type]
    assert len(rows) == 6 * 3 * 2
    found = robustness(samples, clean_of(samples, session), rows)
    score = found["score"]
    assert score["auc_clean"] == 1.0
    assert score["operators"]["grey"]["5"]["auc"] < 0.8
    assert score["operators"]["grey"]["5"]["drop"] == 1 - score["operators"]["grey"]["5"]["auc"]
    clean = clean_of(samples, session)
    for number, key in enumerate(("shift_real", "shift_fake")):  # grey is 0.5 to this detector
        mine = [clean[str(s.path)]["score"] for s in samples[number::2]]
        shift = score["operators"]["grey"]["5"][key]
        assert shift == pytest.approx(0.5 - sum(mine) / 3, abs=0.02)
    for harmless in ("gaussian_blur", "noise"):
        assert score["operators"][harmless]["5"]["shift_fake"] == pytest.approx(0, abs=0.01)
        assert score["operators"][harmless]["5"]["drop"] == pytest.approx(0)
    assert score["worst_operator"] == "grey"
    drops = score["drop_by_operator"].values()
    assert score["mean_drop"] == pytest.approx(sum(drops) / 3)
    assert found["visual_score"]["operators"] == score["operators"]
    assert "two clips" in found["audio_score"]["note"]


def test_a_run_that_broke_off_goes_on_and_another_model_begins_anew(
    samples: list[Sample], tmp_path: Path
) -> None:
    kept, session = tmp_path / "p.jsonl", RedDetector()
    judge_perturbed(samples, session, Perturbing(("grey",), (1,)), kept)  # type: ignore[arg-type]
    judge_perturbed(samples, session, Perturbing(("grey",), (1, 2)), kept)  # type: ignore[arg-type]
    assert session.judged == 12
    assert len(kept.read_text().splitlines()) == 12
    other = RedDetector("cd")
    judge_perturbed(samples, other, Perturbing(("grey",), (2,)), kept)  # type: ignore[arg-type]
    assert other.judged == 6
    kept.write_text("oops\n")
    with pytest.raises(ValueError, match=r"p\.jsonl: line 1 is no kept result"):
        judge_perturbed(samples, session, Perturbing(("grey",), (1,)), kept)  # type: ignore[arg-type]


def test_a_file_that_cannot_be_read_counts_half(samples: list[Sample], tmp_path: Path) -> None:
    class Broken(RedDetector):
        def detect(self, path: str, change: Any = iter) -> SimpleNamespace:
            if Path(path).name == "1.mp4":
                raise MediaError(f"{path} is broken")
            return super().detect(path, change)

    clean = clean_of(samples, RedDetector())
    rows = judge_perturbed(samples, Broken(), Perturbing(("noise",), (1,)), tmp_path / "p.jsonl")  # type: ignore[arg-type]
    case = robustness(samples, clean, rows)["score"]["operators"]["noise"]["1"]
    assert (case["given"], case["scored"]) == (6, 5)
    assert case["auc"] == pytest.approx((3 + 3 + 0.5) / 9, abs=0.07)
    line = json.loads((tmp_path / "p.jsonl").read_text().splitlines()[1])
    assert "is broken" in line["error"]


def test_chosen_clips_are_of_both_classes_and_all_methods() -> None:
    many = [
        Sample(Path(f"{m}{i}"), "dev", m, "s", "p", () if m == "real" else WHOLE, None, None)
        for m, count in (("real", 30), ("a", 50), ("b", 3)) for i in range(count)
    ]  # fmt: skip
    few = chosen_clips(many, 10)
    methods = [sample.method for sample in few]
    assert (methods.count("real"), methods.count("a"), methods.count("b")) == (5, 3, 2)
    assert chosen_clips(many, 10) == few
    assert len(chosen_clips(many, 80)) == 80
    assert chosen_clips(many, None) == many


def test_unknown_operators_are_told_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown operators \['sepia'\].*gaussian_blur"):
        Perturbing(("sepia",))
    with pytest.raises(ValueError, match=r"severities \[0\]"):
        Perturbing(severities=(0,))
    assert Perturbing().operators == OPERATORS


def test_what_is_ahead_is_told_by_how_long_the_clips_took(
    samples: list[Sample], tmp_path: Path
) -> None:
    kept, session = tmp_path / "p.jsonl", RedDetector()
    perturbing = Perturbing(("grey", "noise"), (1, 5))
    clean = {str(s.path): {"seconds": 90.0} for s in samples[:4]}  # the other two as the mean
    words = work_ahead(samples, clean, perturbing, kept, session.model)
    assert words == (
        "6 clips, 2 operators, severities 1, 5: 24 of 24 judgements are ahead, 36 minutes or more"
    )
    assert not kept.exists()
    judge_perturbed(samples, session, Perturbing(("grey",), (1, 5)), kept)  # type: ignore[arg-type]
    words = work_ahead(samples, clean, perturbing, kept, session.model)
    assert words.endswith("12 of 24 judgements are ahead, 18 minutes or more")
    slow = {str(s.path): {"seconds": 900.0} for s in samples}
    assert work_ahead(samples, slow, perturbing, kept, session.model).endswith("3.0 hours or more")
    judge_perturbed(samples, session, perturbing, kept)  # type: ignore[arg-type]
    words = work_ahead(samples, {}, perturbing, kept, session.model)
    assert words.endswith("0 of 24 judgements are ahead")
