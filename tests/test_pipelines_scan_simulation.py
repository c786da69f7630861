"""A simulated scan comes to what can be told without one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.scan.simulation import main, recorded_seconds, simulate


def test_equal_videos_take_as_many_rounds_as_there_are_videos_a_worker() -> None:
    found = simulate(np.array([50.0]), workers=20, videos=400)
    assert found.videos == 400
    assert found.seconds == pytest.approx(20 * 50.0, rel=0.01)  # and the driver's own time
    assert found.busy == pytest.approx(1.0, abs=0.01)
    assert found.driver < 0.01
    assert found.videos_per_hour == pytest.approx(400 / 1000 * 3600, rel=0.01)


def test_the_last_round_is_as_long_as_its_longest_video() -> None:
    taken = np.array([10.0, 90.0])
    found = simulate(taken, workers=1000, videos=1000)
    assert found.seconds == pytest.approx(90.0, abs=1.0)
    assert found.busy == pytest.approx(50 / 90, abs=0.05)


def test_many_workers_wait_for_the_driver_where_it_cannot_follow() -> None:
    found = simulate(np.array([1e-4]), workers=1000, videos=3000)
    assert found.driver > 0.9
    assert found.busy < 0.5


def test_each_loss_is_one_more_task() -> None:
    found = simulate(np.array([10.0]), workers=10, videos=2000, losses=0.05)
    assert found.videos == 2000
    assert found.lost == pytest.approx(2000 * 0.05 * 1.05, rel=0.3)
    assert found.seconds == pytest.approx((2000 + found.lost - found.lost * 0.05) * 1.0, rel=0.03)


def test_the_times_are_those_of_a_result_set(tmp_path: Path) -> None:
    rows = [{"elapsed": {"total": 2.0}}, {"error": "is empty"}, {"elapsed": {"total": 4.0}}]
    lines = [json.dumps({"path": str(i), "score": None, **row}) for i, row in enumerate(rows)]
    (tmp_path / "results.jsonl").write_text("\n".join(lines))
    assert recorded_seconds(tmp_path / "results.jsonl").tolist() == [2.0, 4.0]
    (line,) = main([str(tmp_path / "results.jsonl"), "--workers", "10", "--videos", "200"])
    assert json.loads(line)["videos_per_hour"] == pytest.approx(10 / 3 * 3600, rel=0.15)
