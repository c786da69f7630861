"""The benchmark of a scan: plain processes and Ray do the same work, and the table compares."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from avdetect.commands import benchmark_scan
from avdetect.commands.benchmark_scan import ScanTimes, scan_table
from extractors.media import MediaError
from pipelines.scan.loop import judged_rows
from pipelines.scan.tasks import PieceStore
from pipelines.scan.worker import LoopPool
from pipelines.storage.sources import Video

MODEL = {"name": "stub", "version": "1", "sha256": "00"}
TIMES = ScanTimes(
    clips=50, workers=2, plain=40.0, ray={1: 80.0, 2: 44.0}, first=12.0, memory=[500.0, 510.0, 510]
)


class FakeJob:
    model = MODEL

    def run(self, path: Any, on_step: Any = None) -> Any:
        if "broken" in path.name:
            raise MediaError(f"{path} is empty")
        with path.with_suffix(".judged").open("a") as seen:
            seen.write("x")
        return {"status": "ok", "verdict": "real"}


def test_the_plain_loop_judges_one_video_after_the_other(tmp_path):
    names = [str(tmp_path / name) for name in ("a", "broken", "c")]
    (tmp_path / "corpus").touch()
    pool: Any = LoopPool(FakeJob())
    videos = iter(map(Video, names))
    rows = list(judged_rows(str(tmp_path), videos, pool, PieceStore(tmp_path)))
    assert [(row["path"], row["status"]) for row in rows] == [
        (names[0], "ok"), (names[1], "error"), (names[2], "ok"),
    ]  # fmt: skip


def test_plain_processes_judge_every_clip_once_after_each_has_warmed_up(tmp_path):
    paths = [str(tmp_path / f"{number}.mp4") for number in range(5)]
    assert benchmark_scan._time_plainly(FakeJob, MODEL, paths, 2) > 0
    times = [Path(path).with_suffix(".judged").read_text() for path in paths]
    assert times == ["xxx", "x", "x", "x", "x"]


def test_a_plain_process_that_cannot_begin_ends_the_benchmark(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark_scan, "PATIENCE", 0.1)
    with pytest.raises(RuntimeError):
        benchmark_scan._time_plainly(FakeJob, {"name": "other"}, [str(tmp_path / "a")], 1)


def test_overhead_is_what_ray_takes_beyond_as_many_plain_processes():
    assert TIMES.overhead == pytest.approx(0.1)


def test_the_table_compares_with_one_ray_worker():
    console = Console(file=StringIO(), width=80, highlight=False)
    console.print(scan_table(TIMES))
    lines = console.file.getvalue().split("\n")  # type: ignore[attr-defined]
    assert [line.split()[-3:] for line in lines[1:4]] == [
        ["40.0", "0.80", "2.00"], ["80.0", "1.60", "1.00"], ["44.0", "0.88", "1.82"],
    ]  # fmt: skip
    assert lines[1].startswith("plain, 2 processes")
    assert lines[2].startswith("Ray, 1 worker ")
    assert lines[4:7] == [
        "Ray takes 10.0 % longer than the plain processes",
        "first result of a scan: after 12.0 s",
        "its driver's memory at the first, middle and last result: 500, 510, 510 MB",
    ]
