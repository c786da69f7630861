"""Series of measurements: holes are kept, and nothing gives nothing."""

from __future__ import annotations

import numpy as np

from pipelines.evidence.measurements import Measurements, Series


def test_a_series_keeps_its_holes() -> None:
    series = Series()
    series.add(2, np.array([1.0, 2.0], np.float32))
    series.add(5, np.array([3.0], np.float32))
    assert np.array_equal(series.values(), [np.nan, np.nan, 1, 2, np.nan, 3], equal_nan=True)
    assert len(series.values(4)) == 4


def test_nothing_seen_and_heard_measures_nothing() -> None:
    assert Measurements().of_sound() == {}
    assert Measurements().of_face(0) == {}
