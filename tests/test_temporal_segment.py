"""A segment lies in a modality and has a length."""

from __future__ import annotations

import pytest

from temporal.segment import MODALITIES, Segment


def test_a_segment_keeps_what_it_is_given() -> None:
    for modality in MODALITIES:
        segment = Segment(0.5, 1.25, 0.9, modality)
        assert (segment.start, segment.end, segment.score) == (0.5, 1.25, 0.9)


@pytest.mark.parametrize(
    ("start", "end"), [(1.0, 1.0), (2.0, 1.0), (-0.5, 1.0), (0.0, float("nan"))]
)
def test_a_segment_that_ends_before_it_begins_or_begins_before_the_file_is_refused(
    start: float, end: float
) -> None:
    with pytest.raises(ValueError, match="expected 0 <= start < end"):
        Segment(start, end, 0.5, "visual")


def test_a_modality_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'video'"):
        Segment(0.0, 1.0, 0.5, "video")
