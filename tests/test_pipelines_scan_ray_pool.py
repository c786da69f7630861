"""Ray workers: one is lost, hangs or cannot start, and the corpus is finished all the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.results.result_set import ResultSet
from pipelines.scan import ray_pool as jobs
from pipelines.scan.agenda import Outcome
from pipelines.scan.cluster import PoolError, connect, disconnect, resources
from pipelines.scan.loop import judged_rows
from pipelines.scan.plan import Plan, PlanError
from pipelines.scan.ray_pool import RayPool
from pipelines.scan.tasks import PieceStore, Task
from pipelines.storage.sources import Video
from pipelines.streams.stream_cache import StreamCache
from pipelines.train.fill_cache import fill_cache
from pipelines.train.ray_train import train_together

MODEL = {"name": "stub", "version": "1", "sha256": "00"}
TWO = Plan(workers=2, cpus=1, gpus=0.0, reason="for tests")
ONE = Plan(workers=1, cpus=1, gpus=0.0, reason="for tests")


def stub(model: dict[str, str]) -> Callable[[], Any]:
    """Return what makes a job in a worker: the video's name says what befalls the worker."""

    def load() -> Any:
        import os
        import time
        from pathlib import Path

        from extractors.media import MediaError
        from pipelines.detection.shards import LongVideoError

        class Job:
            def __init__(self) -> None:
                self.model = model

            def run(self, path: Any, on_step: Any = None) -> Any:
                name = Path(path).name
                if "abort" in name:
                    os.abort()
                if "once" in name and not Path(f"{path}.tried").exists():
                    Path(f"{path}.tried").touch()
                    os.abort()
                if "hang" in name:
                    time.sleep(3600)
                if "fault" in name:
                    raise RuntimeError("a fault in the program")
                if "film" in name:
                    raise LongVideoError([range(10), range(10, 20), range(20, 25)])
                if "unreadable" in name:
                    raise MediaError(f"{path} is empty (0 bytes)")
                for step in range(30 if "long" in name else 1):
                    on_step(step, 30)
                    time.sleep(0.1)
                return self.result(str(os.getpid()))

            def run_shard(self, path: Any, span: Any, on_step: Any = None) -> bytes:
                once = Path(f"{path}.{span.start}.tried")
                if "abrupt" in path.name and span.start == 10 and not once.exists():
                    once.touch()
                    os.abort()
                if "broken" in path.name and span.start == 10:
                    raise MediaError(f"{path} is damaged")
                time.sleep(0.2)
                return f"{span.start}-{span.stop} by {os.getpid()}".encode()

            def join(self, path: Any, shards: Any) -> Any:
                return self.result(", ".join(shard.decode() for shard in shards))

            def result(self, said: str) -> Any:
                result = {"status": "ok", "verdict": "real", "sha256": said}
                return result

        return Job()

    return load


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One local cluster for all tests."""
    assert connect(None)
    yield
    disconnect()


def rows_of(folder: Path, names: list[str], pool: RayPool) -> dict[str, dict[str, Any]]:
    (folder / "source").touch()
    try:
        videos = (Video(str(folder / name)) for name in names)
        rows = list(judged_rows(str(folder), videos, pool, PieceStore(folder / "pieces")))
    finally:
        pool.close()
    assert len(rows) == len(names)
    return {Path(row["path"]).name: row for row in rows}


def test_the_resources_are_those_of_this_machine():
    found = resources()
    assert (found.nodes, found.cpus) == (1, len(os.sched_getaffinity(0)))
    assert found.memory > 2**20


def test_whatever_befalls_workers_every_video_has_its_row(tmp_path):
    names = ["long", "abort", "hang", "fault", "unreadable", "once", "a", "b", "c"]
    rows = rows_of(tmp_path, names, RayPool(stub(MODEL), MODEL, TWO, limit=1.5))
    assert {n for n, row in rows.items() if row["status"] == "ok"} == {
        "long",
        "once",
        "a",
        "b",
        "c",
    }
    assert rows["unreadable"]["error_type"] == "MediaError"
    assert rows["unreadable"]["error_message"] == f"{tmp_path}/unreadable is empty (0 bytes)"
    for name, cause in (("abort", "ended"), ("hang", "no progress"), ("fault", "a fault in the")):
        assert rows[name]["error_type"] == "WorkerLost"
        assert cause in rows[name]["error_message"]
        assert rows[name]["tries"] == 2
    assert rows["once"]["tries"] == 2
    assert rows["a"]["tries"] == 1


def test_the_work_is_divided_and_an_object_is_fetched(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x")
    names = [f"n{i}" for i in range(6)]
    pool = RayPool(stub(MODEL), MODEL, TWO)
    while pool.idle < 2:
        pool.wait(1.0)
    pool.submit(Task(f"file://{tmp_path}/a.mp4"))
    outcomes: list[Outcome] = []
    while not outcomes:
        outcomes = pool.wait(1.0)
    assert outcomes[0].result is not None
    assert outcomes[0].result["path"] == f"file://{tmp_path}/a.mp4"
    rows = rows_of(tmp_path, names, pool)
    assert len({row["sha256"] for row in rows.values()}) == 2  # worked in two processes


def test_a_film_is_shared_by_the_workers_and_joined_in_order(tmp_path):
    pool = RayPool(stub(MODEL), MODEL, TWO)
    while pool.idle < 2:
        pool.wait(1.0)
    rows = rows_of(tmp_path, ["film"], pool)
    said = [part.split(" by ") for part in rows["film"]["sha256"].split(", ")]
    assert [span for span, _ in said] == ["0-10", "10-20", "20-25"]
    assert len({pid for _, pid in said}) == 2
    assert rows["film"]["seconds"] >= 0.6  # three shards of 0.2 s
    assert not list((tmp_path / "pieces").iterdir())


def test_a_film_survives_a_lost_worker_and_fails_by_one_bad_shard(tmp_path):
    names = ["film_abrupt", "film_broken"]
    rows = rows_of(tmp_path, names, RayPool(stub(MODEL), MODEL, TWO))
    said = [part.split(" by ")[0] for part in rows["film_abrupt"]["sha256"].split(", ")]
    assert said == ["0-10", "10-20", "20-25"]
    assert rows["film_abrupt"]["tries"] == 2
    assert rows["film_broken"]["error_message"] == f"{tmp_path}/film_broken is damaged"
    assert not list((tmp_path / "pieces").iterdir())


def test_ray_reads_a_result_set(tmp_path):
    import ray

    with ResultSet(tmp_path / "out", {"model": MODEL}) as results:
        rows = rows_of(tmp_path, ["a", "unreadable"], RayPool(stub(MODEL), MODEL, TWO))
        for row in rows.values():
            results.add(row)
    table = ray.data.read_parquet(str(results.folder / "results"))
    read = {Path(row["path"]).name: row["status"] for row in table.take_all()}
    assert read == {"a": "ok", "unreadable": "error"}


def test_streams_for_training_are_extracted_by_workers_once(tmp_path, make_clip):
    good = [make_clip(f"{n}.wav", 0.5 + 0.1 * n, picture=False) for n in range(2)]
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"nothing")
    seen: list[tuple[int, int]] = []
    failed = fill_cache(tmp_path / "cache", [bad, *good], 2, lambda *now: seen.append(now))
    assert list(failed) == [bad]
    assert "bad.mp4" in failed[bad]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert [StreamCache(tmp_path / "cache").get(path).blocks[0].steps for path in good] == [12, 15]
    again: list[tuple[int, int]] = []
    fill_cache(tmp_path / "cache", good, 2, lambda *now: again.append(now))
    assert again == []


def test_more_training_workers_than_cores_are_refused_with_the_numbers(tmp_path):
    with pytest.raises(PlanError, match=r"--workers 999: the cluster has \d+ cores"):
        train_together(lambda team: None, 999, False, tmp_path, None)


def test_a_worker_with_other_weights_does_not_take_part(tmp_path):
    pool = RayPool(stub({"name": "other"}), MODEL, ONE)
    with pytest.raises(PoolError, match=r"no worker comes up: .*expected the model"):
        rows_of(tmp_path, ["a"], pool)


def test_workers_that_never_come_up_are_one_error(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "START_SECONDS", 0.5)
    plan = Plan(workers=1, cpus=1000, gpus=0.0, reason="too many cores")
    with pytest.raises(PoolError, match="are cores free"):
        rows_of(tmp_path, ["a"], RayPool(stub(MODEL), MODEL, plan))


def test_a_cluster_that_is_not_there_is_one_error(monkeypatch):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: (_ for _ in ()).throw(ConnectionError("nobody")))
    with pytest.raises(PoolError, match=r"10\.0\.0\.1:6379: Ray cannot start \(nobody\)"):
        connect("10.0.0.1:6379")
