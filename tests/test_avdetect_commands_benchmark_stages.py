"""The benchmark: medians of what the session itself measured, beside plain decoding."""

from __future__ import annotations

import types
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from avdetect.commands.benchmark_stages import PLAIN, measure, timings_table


class FakeSession:
    """Takes 9 s to judge its first clip, then 1, 2 and 3 s."""

    def __init__(self) -> None:
        self.times = iter([9.0, 1.0, 2.0, 3.0])

    def detect(self, path: Any) -> Any:
        assert path.is_file()
        time = next(self.times)
        return types.SimpleNamespace(elapsed={"decode": time / 2, "total": time})


def test_the_first_run_is_not_counted_and_the_median_is_taken() -> None:
    session: Any = FakeSession()
    timings = measure(session, seconds=1, runs=3)
    assert list(timings) == [PLAIN, "decode", "total"]
    assert timings["decode"] == pytest.approx(1.0)
    assert timings["total"] == pytest.approx(2.0)
    assert 0 < timings[PLAIN] < 10


def test_the_table_has_a_row_a_stage_with_its_ratio_to_plain_decoding() -> None:
    console = Console(file=StringIO(), width=80)
    console.print(timings_table({PLAIN: 0.5, "total": 1.5}, seconds=6))
    lines = console.file.getvalue().split("\n")  # type: ignore[attr-defined]
    assert lines[1].split() == ["plain", "decoding", "0.50", "1.00", "12.0"]
    assert lines[2].split() == ["total", "1.50", "3.00", "4.0"]
