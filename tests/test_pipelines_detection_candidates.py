"""The ranking of what may be manipulated: across tracks, and against the rest of the track."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.detection.candidates import CANDIDATES, best_candidates
from temporal.segment import Segment


def timeline(*tracks: float) -> np.ndarray:  # type: ignore[type-arg]
    """Ten seconds at a step score each, NaN as not judged."""
    return np.tile(np.array(tracks, np.float32), (250, 1))


def test_a_stretch_counts_as_it_differs_from_the_rest_of_its_track() -> None:
    curve = timeline(0.5, np.nan, np.nan)
    curve[50:100, 0] = 0.8  # log odds of ln 4 against 0
    [found] = best_candidates([Segment(2.0, 4.0, 0.6, "visual")], curve, 0.5)
    assert found.score == pytest.approx(0.6 * 0.8)
    [elsewhere] = best_candidates([Segment(6.0, 8.0, 0.6, "visual")], curve, 0.5)
    rest = np.log(4) * 50 / 200  # mean log odds of all other steps
    assert elsewhere.score == pytest.approx(0.6 / (1 + np.exp(rest)))


def test_where_there_is_no_rest_the_chance_is_even() -> None:
    [whole] = best_candidates([Segment(0.0, 10.0, 0.8, "audio")], timeline(0.1, 0.9, 0.1), 0.5)
    assert whole.score == pytest.approx(0.4)


def test_two_tracks_that_claim_one_stretch_count_once() -> None:
    claims = [Segment(2.0, 4.0, 0.8, "visual"), Segment(2.0, 4.0, 0.7, "audio")]
    apart = Segment(7.0, 8.0, 0.6, "audio")
    found = best_candidates([*claims, apart], timeline(0.5, 0.5, 0.5), 0.5)
    assert [(s.start, s.modality) for s in found[:2]] == [(2.0, "visual"), (7.0, "audio")]
    assert found[2].score == pytest.approx(0.35 * np.exp(-1 / 0.5))  # IoU 1


def test_steps_that_were_not_judged_are_no_rest() -> None:
    curve = timeline(0.5, np.nan, np.nan)
    curve[50:, 0] = np.nan
    [found] = best_candidates([Segment(0.0, 2.0, 0.6, "visual")], curve, 0.5)
    assert found.score == pytest.approx(0.3)


def test_only_so_many_are_kept() -> None:
    many = [Segment(i / 100, i / 100 + 0.2, 0.9 - i / 10_000, "visual") for i in range(900)]
    found = best_candidates(many, timeline(0.5, 0.5, 0.5), 0.5)
    assert len(found) == CANDIDATES
    assert [s.score for s in found] == sorted((s.score for s in found), reverse=True)
    assert best_candidates([], timeline(0.5, 0.5, 0.5), 0.5) == []
