"""A cluster of three nodes on this machine, one of which dies while a scan is under way."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.scan.cluster import PoolError, connect, disconnect, resources
from pipelines.scan.loop import judged_rows
from pipelines.scan.plan import plan_scan
from pipelines.scan.ray_pool import RayPool
from pipelines.scan.tasks import PieceStore
from pipelines.storage.sources import Video

MODEL = {"name": "stub", "version": "1", "sha256": "00"}


def stub(model: dict[str, str]) -> Callable[[], Any]:
    """Return what makes a judge that takes half a second and says which node it is on."""

    def load() -> Any:
        import time

        import ray

        class Job:
            def __init__(self) -> None:
                self.model = model

            def run(self, path: Any, on_step: Any = None) -> Any:
                time.sleep(0.5)
                node = ray.get_runtime_context().get_node_id()
                result = {"status": "ok", "verdict": "real", "sha256": node}
                return result

        return Job()

    return load


@pytest.mark.parametrize(
    ("seconds", "address", "tries"),
    [(31.0, None, 10), (1.0, None, 3), (31.0, "10.0.0.1:6379", 1)],
)
def test_ray_is_begun_again_on_a_machine_too_busy_for_its_own_limit(
    monkeypatch: pytest.MonkeyPatch, seconds: float, address: str | None, tries: int
) -> None:
    now, begun = 0.0, 0

    def init(**_: Any) -> None:
        nonlocal now, begun
        now, begun = now + seconds, begun + 1
        raise RuntimeError("The current node timed out during startup")

    ray = SimpleNamespace(init=init, is_initialized=lambda: False, shutdown=lambda: None)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr("pipelines.scan.cluster.time.monotonic", lambda: now)
    with pytest.raises(PoolError, match="Ray cannot start"):
        connect(address)
    assert begun == tries  # for 300 s; what fails at once is no matter of time


@pytest.mark.slow
def test_a_node_dies_and_the_scan_is_finished(tmp_path: Path) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    store = 80 * 2**20
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": store, "include_dashboard": False},
    )
    try:
        nodes = [cluster.add_node(num_cpus=1, object_store_memory=store) for _ in range(2)]
        assert connect(cluster.address)
        found = resources()
        assert (found.nodes, found.cpus) == (3, 3)
        plan = plan_scan(found, "cpu")
        assert plan.workers == 3
        pool = RayPool(stub(MODEL), MODEL, plan)
        while pool.idle < 3:  # on a busy machine one may come up when the others are done
            pool.wait(1.0)
        videos = [Video(str(tmp_path / f"{number}.mp4")) for number in range(60)]
        (tmp_path / "source").touch()
        rows = []
        used: set[str] = set()
        for row in judged_rows(str(tmp_path), iter(videos), pool, PieceStore(tmp_path)):
            rows.append(row)
            if len(rows) == 20:
                used = {r["sha256"] for r in rows}
                cluster.remove_node(nodes[0], allow_graceful=False)
        pool.close()
        assert len(used) == 3
        assert sorted(row["path"] for row in rows) == sorted(video.path for video in videos)
        assert all(row["status"] == "ok" for row in rows)
        assert max(row["tries"] for row in rows) == 2
    finally:
        disconnect()
        cluster.shutdown()
