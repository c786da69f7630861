"""The metrics file: what Prometheus reads of it, and when it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.scan.loop import Progress
from pipelines.scan.metrics_file import MetricsFile, metrics_text

# a sample of the text exposition format 0.0.4: name, labels, value
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-z]+="[^"]*"\})? ([0-9.]+)')


def samples(text: str) -> dict[str, float]:
    """Read the format as its specification says; every metric needs its type before its samples."""
    assert text.endswith("\n")
    found: dict[str, float] = {}
    typed = None
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, typed, kind = line.split()
            assert kind == ("counter" if typed.endswith("_total") else "gauge")
        elif not line.startswith("# HELP "):
            sample = SAMPLE.fullmatch(line)
            assert sample is not None, line
            assert sample[1] == typed
            found[sample[1] + (sample[2] or "")] = float(sample[3])
    return found


def test_counts_are_those_of_the_progress() -> None:
    assert samples(metrics_text(Progress(100, 40, 3, 12.5), running=True)) == {
        "avdetect_scan_running": 1,
        'avdetect_scan_videos_total{status="ok"}': 37,
        'avdetect_scan_videos_total{status="error"}': 3,
        "avdetect_scan_videos_left": 60,
        "avdetect_scan_seconds_total": 12.5,
    }


def test_the_file_is_written_at_the_beginning_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    file, now = tmp_path / "scan.prom", 100.0
    with MetricsFile(file, lambda: now) as metrics:
        assert samples(file.read_text())["avdetect_scan_running"] == 1
        now = 109.0
        metrics.update(Progress(10, 1, 0, 1.0))
        assert samples(file.read_text())["avdetect_scan_videos_left"] == 0
        now = 110.0
        metrics.update(Progress(10, 2, 0, 2.0))
        assert samples(file.read_text())["avdetect_scan_videos_left"] == 8
        now = 111.0
        metrics.update(Progress(10, 10, 1, 3.0))
    last = samples(file.read_text())
    assert (last["avdetect_scan_running"], last["avdetect_scan_videos_left"]) == (0, 0)


def test_a_scan_that_stops_early_runs_no_more(tmp_path: Path) -> None:
    file = tmp_path / "scan.prom"

    def scan() -> None:
        with MetricsFile(file) as metrics:
            metrics.update(Progress(10, 4, 0, 1.0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        scan()
    last = samples(file.read_text())
    assert (last["avdetect_scan_running"], last["avdetect_scan_videos_left"]) == (0, 6)
