"""What is counted before and after, on clips whose every score is known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipelines.adapt.clip_table import Calibration, ClipTable, WeightChange, table_of
from pipelines.adapt.clip_tracks import JudgedFile, JudgedTrack
from pipelines.adapt.measure import effect
from pipelines.data.samples import Sample
from pipelines.detection.opinions import ABSENT

CALIBRATION = Calibration((1.0, 1.0), (0.0, 0.0), 0.0)
UNCERTAIN = (0.35, 0.64)


def clip(logit: float, fake: bool, known: float = 1.0, sound: float | None = None) -> tuple:  # type: ignore[type-arg]
    tracks = [JudgedTrack(0, logit, ABSENT, 1.0, 1.0, None)]
    if sound is not None:
        tracks.append(JudgedTrack(1, sound, ABSENT, 1.0, 1.0, None))
    truth = ((0.0, 1.0),) if fake else ()
    return Sample(Path("x"), "dev", "m", "s", "p", truth, None, None), JudgedFile(tracks, known)


def table(*clips: tuple) -> ClipTable:  # type: ignore[type-arg]
    samples, files = zip(*clips, strict=True)
    return table_of(samples, files)


def moved(visual: float) -> WeightChange:
    return WeightChange(torch.zeros(2, 0).double(), torch.tensor([visual, 0.0]).double())


def test_verdicts_and_areas_before_and_after() -> None:
    own = table(
        clip(-3.0, False), clip(1.0, False), clip(0.0, False),
        clip(2.0, True), clip(0.0, True), clip(-3.0, True),
    )  # fmt: skip
    found = effect(own, moved(-0.7), CALIBRATION, UNCERTAIN)
    before, after = found["before"], found["after"]
    assert (before["genuine"], before["genuine_called_fake"]) == (3, 1)
    assert (before["fakes_called_fake"], before["fakes_called_real"]) == (1, 1)
    assert (after["genuine_called_fake"], after["fakes_called_fake"]) == (0, 1)
    assert after["fakes_called_real"] == 2  # 0 - 0.7 is a score of .33
    assert before["auc"] == after["auc"] == pytest.approx(5 / 9, abs=1e-4)
    assert before["tracks"] == {"visual": before["auc"]}
    # the genuine clip at 1, and both at 0
    assert found["other_verdicts"] == 3
    assert found["moved_most"] == pytest.approx(0.5 - 1 / (1 + 2.718281828**0.7), abs=1e-3)


def test_a_picture_that_is_hardly_known_makes_no_verdict_without_its_sound() -> None:
    own = table(clip(3.0, True, known=0.2), clip(3.0, True, known=0.2, sound=3.0))
    found = effect(own, moved(0.0), CALIBRATION, UNCERTAIN)
    assert found["before"]["fakes_called_fake"] == 1
    assert found["before"]["auc"] is None


def test_what_could_not_be_judged_is_not_counted() -> None:
    nothing = (clip(0.0, False)[0], JudgedFile([], 1.0))
    assert effect(table(nothing, clip(0.0, True)), moved(0.0), CALIBRATION, UNCERTAIN)["clips"] == 1
