"""Scores of the table are those of the detector, before and after a change."""

from __future__ import annotations

from math import log
from pathlib import Path

import pytest
import torch

from pipelines.adapt.clip_table import Calibration, WeightChange, all_logits, own_logits, table_of
from pipelines.adapt.clip_tracks import JudgedFile, JudgedTrack
from pipelines.data.samples import Sample
from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.opinions import ABSENT
from temporal.experts import ExpertConfig

TINY = ExpertConfig(
    dim=8, appearance=4, lips=(4, 4), flow=(4, 4), depth=(4, 4), mel=(4, 4), voice=(4, 4)
)
TWO = log(2**0.5 - 1)
WHOLE = ((0.0, 9.0),)


def track(column: int, summed: float, **others: float) -> JudgedTrack:
    facts = {"alone": ABSENT, "gain": 1.0, "seen": 1.0, **others}
    return JudgedTrack(column, summed, point=torch.tensor([1.0, 2.0]), **facts)


def sample(visual: object, audio: object, label: bool | None = None) -> Sample:
    return Sample(Path("x.mp4"), "train", "m", "s", "p", visual, audio, None, label)  # type: ignore[arg-type]


def test_scores_are_those_of_the_detector() -> None:
    detector = Detector(DetectorConfig(experts=TINY))
    detector.calibration.copy_(torch.tensor([[0.8, 0.3], [1.2, -0.4], [1.0, 0.0]]))
    calibration = Calibration((0.8, 1.2), (0.3, -0.4), detector.config.two_tracks)
    nan = float("nan")
    clips = [(1.5, -0.7), (1.5, nan), (nan, -0.7)]
    files = [JudgedFile([track(c, v) for c, v in enumerate(clip) if v == v], 1.0) for clip in clips]
    table = table_of([sample((), ())] * 3, files, 2)
    found = all_logits(table, WeightChange.none(2), calibration).sigmoid()
    for row, (visual, audio) in zip(found, clips, strict=True):
        expected = detector.calibrated(torch.tensor([visual, audio, nan]))
        for value, place in ((row[0], 0), (row[1], 1), (row[2], 3)):
            if not expected[place].isnan():
                assert float(value) == pytest.approx(float(expected[place]), abs=1e-5)


def test_a_change_moves_what_counts_of_the_rule_and_the_shift_as_far_as_a_face_is_seen() -> None:
    calibration = Calibration((2.0, 1.0), (0.5, 0.0), TWO)
    files = [JudgedFile([track(0, 1.0, gain=0.5, seen=0.25)], 1.0)]
    change = WeightChange(
        torch.tensor([[0.1, 0.2], [9.0, 9.0]]).double(), torch.tensor([0.3, 9.0]).double()
    )
    found = own_logits(table_of([sample((), ())], files, 2), change, calibration)
    # the rule's logit moves by 1 * 0.1 + 2 * 0.2, half of which counts
    assert float(found[0, 0]) == pytest.approx(0.25 * (2.0 * (1.0 + 0.25) + 0.5 + 0.3))
    assert float(found[0, 1]) == ABSENT


def test_either_the_opinions_or_a_localizer_is_right_and_the_worst_track_counts() -> None:
    calibration = Calibration((1.0, 1.0), (0.0, 0.0), TWO)
    files = [JudgedFile([track(1, -1.0), track(1, 0.0, alone=0.0)], 1.0)]
    found = own_logits(table_of([sample((), ())], files, 2), WeightChange.none(2), calibration)
    assert float(found[0, 1].sigmoid()) == pytest.approx(0.75)


def test_labels_of_tracks_and_of_the_file() -> None:
    samples = [sample(WHOLE, ()), sample(None, None, True), sample((), None)]
    table = table_of(samples, [JudgedFile([track(0, 0.0)], 1.0)] * 3, 2)
    assert table.labels.tolist() == [[1, 0, 1], [-1, -1, 1], [0, -1, 0]]


def test_some_rows_keep_their_tracks() -> None:
    files = [JudgedFile([track(0, float(i)), track(1, 10.0 + i)], i / 4) for i in range(4)]
    table = table_of([sample((), ())] * 4, files, 2)
    calibration = Calibration((1.0, 1.0), (0.0, 0.0), TWO)
    chosen = torch.tensor([3, 1])
    expected = all_logits(table, WeightChange.none(2), calibration)[chosen]
    torch.testing.assert_close(
        all_logits(table.rows(chosen), WeightChange.none(2), calibration), expected
    )
    assert table.rows(chosen).known.tolist() == [0.75, 0.25]
