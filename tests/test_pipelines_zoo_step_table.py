"""Segments of a part's step logits: found where they are, and only where that can be measured."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from extractors.streams import Streams
from pipelines.data.samples import WHOLE, Sample, Spans
from pipelines.train.clips import TrainClip
from pipelines.zoo.step_table import proposal_rows, segment_rows, steps_precision

STEPS, START = 100, 50  # four seconds, from the file's second 2 on


def clip(name: str, spans: Spans) -> TrainClip:
    sample = Sample(Path(name), "dev", "made", "made", "p", spans, None, None)
    crops = torch.zeros(STEPS, 3, 8, 8, dtype=torch.uint8)
    return TrainClip(sample, Streams(START, 0, face_size=112.0, appearance=crops), None)


def logits(*forged: tuple[int, int]) -> torch.Tensor:
    curve = torch.full((STEPS,), -8.0)
    for first, last in forged:
        curve[first:last] = 8.0
    return curve


def test_a_run_of_high_logits_is_a_segment_at_its_seconds_in_the_file() -> None:
    score, start, end = segment_rows(logits((25, 50)), 2.0)[0]
    assert (start, end) == pytest.approx((3.0, 4.0))
    assert score > 0.9


def test_the_precision_is_that_of_the_segments_that_are_hit() -> None:
    clips = [clip("a", ((3.0, 4.0),)), clip("b", ((2.5, 3.5),)), clip("real", ())]
    right = [logits((25, 50)), logits((12, 38)), logits()]
    assert steps_precision(clips, right, "visual") == {"AP@0.5": pytest.approx(1.0)}
    one_missed = [logits((25, 50)), logits(), logits()]
    assert steps_precision(clips, one_missed, "visual") == {"AP@0.5": pytest.approx(0.5)}
    elsewhere = [logits((60, 90)), logits((60, 90)), logits()]
    assert steps_precision(clips, elsewhere, "any") == {"AP@0.5": pytest.approx(0.0)}


def test_where_no_clip_is_forged_in_part_there_is_nothing_to_measure() -> None:
    clips = [clip("a", WHOLE), clip("later", ((9.0, 10.0),)), clip("real", ())]
    assert steps_precision(clips, [logits((0, STEPS)), logits(), logits()], "visual") == {}


def test_a_parts_own_proposals_are_measured_beside_the_segments_of_its_curve() -> None:
    clips = [clip("a", ((3.0, 4.0),)), clip("b", ((2.5, 3.5),)), clip("real", ())]
    nowhere = [logits()] * 3
    right = [
        torch.tensor([[0.9, 25.0, 50.0], [0.2, 70.0, 90.0]]),
        torch.tensor([[0.8, 12.0, 38.0]]),
    ]
    found = steps_precision(clips, nowhere, "visual", [*right, torch.zeros(0, 3)])
    assert found == {"AP@0.5": pytest.approx(0.0), "own AP@0.5": pytest.approx(1.0)}


def test_of_candidates_the_best_hundred_are_kept_and_their_likes_decay() -> None:
    twice = torch.tensor([[0.5, 0.0, 25.0], [0.9, 0.0, 25.0], [0.4, 50.0, 75.0]])
    rows = proposal_rows(twice, 2.0)
    assert [row[0] for row in rows] == pytest.approx([0.9, 0.4, 0.5 * math.exp(-2)])
    assert rows[0][1:] == pytest.approx([2.0, 3.0])
    apart = torch.stack(
        [torch.linspace(0.1, 0.9, 150), torch.arange(150.0), torch.arange(1.0, 151.0)]
    )
    assert len(proposal_rows(apart.T, 0.0)) == 100
