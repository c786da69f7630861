"""Series of measurements: holes are kept, and nothing gives nothing."""

from __future__ import annotations

import numpy as np
import pytest

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


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reliable visual measurement, one that is larger in genuine clips, and a useless one."""
    known = {
        "landmark_jitter": {"low": 1.0, "high": 5.0, "auc": 0.8, "auc_interval": [0.7, 0.9]},
        "flow_residual": {"low": 0.2, "high": 0.6, "auc": 0.85, "auc_interval": [0.8, 0.9]},
        "blink_rate": {"low": 0.0, "high": 30.0, "auc": 0.55, "auc_interval": [0.4, 0.7]},
    }
    clips = {"fitted_genuine": 90, "fitted_fakes": 70, "genuine": 50, "fakes": 40}
    full = {
        name: row | clips | {"larger_in_fakes": name != "flow_residual"}
        for name, row in known.items()
    }
    monkeypatch.setattr("pipelines.evidence.findings.known_ranges", lambda: full)
