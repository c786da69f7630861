"""The benchmark: medians of what the session itself measured, beside plain decoding."""

from __future__ import annotations

import subprocess
import sys
import time
import types
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from avdetect.commands.benchmark_stages import (
    PLAIN,
    Cost,
    cost_of,
    costs_table,
    measure,
    processor_time,
)
from avdetect.example import example_clip


class FakeSession:
    """Takes 9 s to judge its first clip, then 1, 2 and 3 s, and 7 s of the processor."""

    def __init__(self) -> None:
        self.times = iter([9.0, 1.0, 2.0, 3.0, 7.0])
        self.clock = time.perf_counter

    def detect(self, path: Any) -> Any:
        assert path.is_file()
        taken = next(self.times)
        assert (self.clock is processor_time) == (taken == 7.0)
        return types.SimpleNamespace(elapsed={"decode": taken / 2, "total": taken})


def test_the_first_run_is_not_counted_and_the_median_is_taken(tmp_path: Path) -> None:
    session: Any = FakeSession()
    example_clip(tmp_path / "clip.mp4", 1.0)
    costs = measure(session, tmp_path / "clip.mp4", runs=3)
    assert list(costs) == [PLAIN, "decode", "total"]
    assert costs["decode"] == Cost(wall=1.0, processor=3.5)
    assert costs["total"] == Cost(wall=2.0, processor=7.0)
    assert 0 < costs[PLAIN].wall < 10
    assert 0 < costs[PLAIN].processor < 10


def test_sleep_takes_time_and_no_processor() -> None:
    cost = cost_of(lambda: time.sleep(0.3))
    assert cost.wall >= 0.3
    assert cost.processor < 0.15


def test_a_process_that_has_ended_counts_with_its_parent() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    cost = cost_of(lambda: subprocess.run([sys.executable, "-c", burn], check=True))
    assert cost.processor > 0.25  # the system's clock counts hundredths of a second


def test_the_table_has_a_row_a_stage_with_its_ratio_to_plain_decoding() -> None:
    console = Console(file=StringIO(), width=80)
    console.print(costs_table("talk", {PLAIN: Cost(0.5, 0.6), "total": Cost(1.5, 1.75)}, seconds=6))
    lines = console.file.getvalue().split("\n")  # type: ignore[attr-defined]
    assert lines[1].split() == ["plain", "decoding", "0.50", "0.60", "1.00", "12.0"]
    assert lines[2].split() == ["total", "1.50", "1.75", "3.00", "4.0"]
