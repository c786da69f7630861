"""The scan's loop and plan, with a pool that is none: who gets what, and what is tried again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.results.result_set import ResultSet
from pipelines.scan.agenda import Outcome
from pipelines.scan.loop import Progress, judged_rows, run, todo
from pipelines.scan.tasks import PieceStore, Task
from pipelines.storage.local_copy import ScratchError
from pipelines.storage.sources import SourceError, Video

IDENTITY: dict[str, Any] = {"model": {"name": "tiny"}}


class FakePool:
    """Two workers that need one look a video; `deadly` names cost a worker so many times."""

    def __init__(self, deadly: dict[str, int] | None = None, starting: int = 0) -> None:
        self.deadly = deadly or {}
        self.starting = starting  # looks until a worker is there
        self.busy: list[Task] = []
        self.given: list[str] = []

    def free(self) -> bool:
        return not self.starting and len(self.busy) < 2

    def submit(self, task: Task) -> None:
        self.busy.append(task)
        self.given.append(task.path)

    def wait(self, seconds: float) -> list[Outcome]:
        self.starting = max(self.starting - 1, 0)
        if not self.busy:
            return []
        task = self.busy.pop(0)
        path, name = task.path, Path(task.path).name
        if self.deadly.get(name, 0) > 0:
            self.deadly[name] -= 1
            return [Outcome(task, None, "ended its worker")]
        if "bad" in name:
            error = {"type": "MediaError", "message": f"{path} is empty"}
            return [Outcome(task, {"path": path, "status": "error", "error": error})]
        return [Outcome(task, {"path": path, "status": "ok", "verdict": "real"})]

    def close(self) -> None:
        pass


def rows_of(names: list[str], pool: FakePool, source: str) -> list[dict[str, Any]]:
    videos: Iterator[Video] = (Video(name) for name in names)
    return list(judged_rows(source, videos, pool, PieceStore(Path(source) / "pieces")))


@pytest.fixture
def source(tmp_path: Path) -> str:
    (tmp_path / "corpus").mkdir()
    for name in ("a.mp4", "bad.mp4", "c.mp4"):
        (tmp_path / "corpus" / name).write_bytes(b"x")
    return str(tmp_path / "corpus")


def test_every_video_has_one_row(source):
    rows = rows_of(["a", "bad", "c"], FakePool(starting=3), source)
    assert [(row["path"], row["status"], row["tries"]) for row in rows] == [
        ("a", "ok", 1), ("bad", "error", 1), ("c", "ok", 1),
    ]  # fmt: skip


def test_a_video_that_cost_a_worker_is_tried_once_more_after_the_others(source):
    pool = FakePool({"a": 1})
    rows = rows_of(["a", "b", "c"], pool, source)
    assert pool.given == ["a", "b", "c", "a"]
    assert {row["path"]: (row["status"], row["tries"]) for row in rows}["a"] == ("ok", 2)


def test_a_video_that_costs_workers_again_is_an_error_row(source):
    pool = FakePool({"a": 99})
    rows = rows_of(["a", "b"], pool, source)
    assert pool.given == ["a", "b", "a"]
    (row,) = (row for row in rows if row["path"] == "a")
    assert (row["status"], row["error_type"], row["tries"]) == ("error", "WorkerLost", 2)
    assert row["error_message"] == "a ended its worker, 2 times"


def test_what_is_named_twice_is_judged_once_also_while_it_waits_for_its_second_try(source):
    pool = FakePool({"a": 1})
    rows = rows_of(["a", "a", "b", "a"], pool, source)
    assert sorted(row["path"] for row in rows) == ["a", "b"]
    assert sorted(pool.given) == ["a", "a", "b"]


def test_an_empty_source_ends_at_once(source):
    assert rows_of([], FakePool(starting=2), source) == []


def test_a_source_that_vanishes_is_no_heap_of_error_rows(source, tmp_path):
    with ResultSet(tmp_path / "out", IDENTITY) as results:
        videos = todo(source, results)
        rows = judged_rows(source, videos, FakePool(), PieceStore(tmp_path))
        assert next(rows)["path"] == f"{source}/a.mp4"
        for path in Path(source).iterdir():
            path.unlink()
        with pytest.raises(SourceError, match="vanished"):
            next(rows)


def test_a_worker_whose_disk_is_full_ends_the_scan_and_makes_no_error_rows(source):
    class FullPool(FakePool):
        def wait(self, seconds: float) -> list[Outcome]:
            task = self.busy.pop(0)
            return [Outcome(task, {"status": "stopped", "message": "/tmp: is full"})]

    with pytest.raises(ScratchError, match="/tmp: is full"):
        rows_of(["a", "b"], FullPool(), source)


def test_a_second_run_judges_only_what_is_left(source, tmp_path):
    seen: list[Progress] = []
    with ResultSet(tmp_path / "out", IDENTITY) as results:
        first = run(source, results, FakePool(), 3, seen.append)
    assert (first.done, first.failed) == (3, 1)
    assert [p.done for p in seen] == [1, 2, 3]
    assert seen[-1].left == 0
    (Path(source) / "d.mp4").write_bytes(b"x")
    pool = FakePool()
    with ResultSet(tmp_path / "out", IDENTITY) as results:
        run(source, results, pool, 1, seen.append)
        assert len(results) == 4
    assert pool.given == [f"{source}/d.mp4"]
