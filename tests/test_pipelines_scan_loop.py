"""The scan's loop and plan, with a pool that is none: who gets what, and what is tried again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.results.result_set import ResultSet
from pipelines.scan.agenda import Outcome
from pipelines.scan.loop import Progress, judged_rows, run, todo
from pipelines.scan.plan import PlanError, Resources, plan_scan
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


LAPTOP = Resources(cores=(2,), gpus=0, memory=8 * 2**30)
CLUSTER = Resources(cores=(64,) * 10, gpus=8, memory=2000 * 2**30)


def test_the_plan_uses_every_core():
    assert plan_scan(LAPTOP, "cpu").workers == 2
    assert plan_scan(CLUSTER, "cpu").workers == 640
    assert plan_scan(LAPTOP, "cpu", workers=1).workers == 1


def test_cores_that_no_other_worker_needs_make_each_faster():
    alone = plan_scan(LAPTOP, "cpu", workers=1)
    assert (alone.cpus, str(alone)) == (2, "1 worker on 2 cores: as asked for")
    assert plan_scan(LAPTOP, "cpu").cpus == 1
    assert plan_scan(CLUSTER, "cpu", workers=320).cpus == 2
    assert plan_scan(CLUSTER, "cpu", workers=321).cpus == 1
    assert plan_scan(CLUSTER, "cpu", workers=319, judges=2).cpus == 1
    odd = Resources(cores=(3, 3), gpus=0, memory=64 * 2**30)
    assert plan_scan(odd, "cpu", workers=3).cpus == 1  # one of two cores would find no node


def test_how_many_cores_a_worker_gets_can_be_asked_for():
    assert plan_scan(LAPTOP, "cpu", workers=1, cores=1).cpus == 1
    plan = plan_scan(Resources(cores=(7, 9), gpus=0, memory=64 * 2**30), "cpu", cores=4)
    assert (plan.workers, plan.cpus) == (3, 4)
    assert "3 workers, each on 4 cores: as many as the cores carry" in str(plan)
    with pytest.raises(PlanError, match=r"--workers 2 and --cores 2: the cluster has 2 cores$"):
        plan_scan(LAPTOP, "cpu", workers=2, cores=2)
    with pytest.raises(PlanError, match=r"640 cores, at most 64 on one of its 10 nodes"):
        plan_scan(CLUSTER, "cpu", cores=65)


def test_the_plan_leaves_memory_for_every_worker():
    plan = plan_scan(Resources(cores=(16,), gpus=0, memory=4 * 2**30), "cpu")
    assert plan.workers == 2
    assert "memory" in str(plan)


def test_the_plan_shares_gpus():
    plan = plan_scan(CLUSTER, "cuda", judges=0)
    assert (plan.workers, plan.gpus) == (32, 0.25)
    assert "0.25 of a GPU" in str(plan)


def test_a_plan_that_the_cluster_cannot_carry_is_refused_with_the_numbers():
    with pytest.raises(PlanError, match="no GPU"):
        plan_scan(LAPTOP, "cuda")
    with pytest.raises(PlanError, match=r"--workers 3: .* 2 cores"):
        plan_scan(LAPTOP, "cpu", workers=3)


def test_a_gpu_with_many_cores_gets_stages_of_their_own():
    one = Resources(cores=(16,), gpus=1, memory=128 * 2**30)
    plan = plan_scan(one, "cuda")
    assert (plan.workers, plan.judges, plan.gpus, plan.judge_gpus) == (15, 1, 0.0, 1.0)
    assert "15 workers, each on 1 core, that extract, and 1 that judges" in str(plan)
    few = Resources(cores=(4,), gpus=1, memory=128 * 2**30)
    assert plan_scan(few, "cuda").judges == 0  # four workers fit on the GPU as they are
    assert plan_scan(one, "cuda", judges=0).workers == 4


def test_stages_can_be_asked_for_without_a_gpu():
    plan = plan_scan(CLUSTER, "cpu", workers=10, judges=2)
    assert (plan.workers, plan.judges, plan.judge_gpus) == (10, 2, 0.0)
    assert plan_scan(CLUSTER, "cpu", judges=2).workers == 638
    with pytest.raises(PlanError, match=r"--workers 2 and --judges 1: .* 2 cores"):
        plan_scan(LAPTOP, "cpu", workers=2, judges=1)
    with pytest.raises(PlanError, match=r"--judges 9: the cluster has 8 GPUs"):
        plan_scan(CLUSTER, "cuda", judges=9)
