"""Extraction of training clips' streams into the cache, by several workers.

The workers of a scan do the work, so a clip that hangs or crashes its worker is left out like one
that cannot be read. Nothing is extracted twice, because the cache names its files by content.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from extractors.media import MediaError
from extractors.streams import VERSION, StreamConfig
from pipelines.progress import OnStep
from pipelines.scan.cluster import cluster
from pipelines.scan.cores import alone
from pipelines.scan.loop import Pool, judged_rows
from pipelines.scan.plan import plan_scan
from pipelines.scan.ray_pool import RayPool
from pipelines.scan.tasks import PieceStore
from pipelines.scan.worker import LoopPool
from pipelines.storage.sources import Video
from pipelines.streams.stream_cache import StreamCache

MODEL = {"name": "streams", "version": str(VERSION)}


class CacheFiller:
    """The worker's job: extract a clip's streams into the cache."""

    model = MODEL

    def __init__(self, folder: Path, streams: StreamConfig) -> None:
        self._cache = StreamCache(folder, streams)

    def run(self, path: Path, on_step: OnStep) -> dict[str, Any]:
        """Put a clip's streams into the cache; return a row of status "ok"."""
        self._cache.get(path, on_step)
        return {"status": "ok"}


def fill_cache(
    folder: Path,
    paths: list[Path],
    workers: int,
    on_step: OnStep,
    address: str | None = None,
    streams: StreamConfig = StreamConfig(),
) -> dict[Path, str]:
    """Return the error message of each file that could not be read; all others are cached.

    Args:
        folder: of the cache; on a cluster, one that all nodes see.
        paths: media files.
        workers: number of processes; 1 means the calling process.
        on_step: called with the number of files done and the total.
        address: of a Ray cluster; None: one on this machine.
        streams: how the streams are extracted.

    Raises:
        PoolError: there is no cluster, or no worker comes up.
    """
    cache = StreamCache(folder, streams)
    left = [path for path in paths if not _cached(cache, path)]
    if not left:
        return {}
    if workers == 1 and address is None:
        return _filled(LoopPool(CacheFiller(folder, streams)), left, on_step)
    with cluster(address) as resources:
        plan = plan_scan(resources, "cpu", min(workers, int(resources.cpus)))
        load = partial(alone, plan.cpus, partial(CacheFiller, folder.absolute(), streams))
        return _filled(RayPool(load, MODEL, plan), left, on_step)


def _filled(pool: Pool, paths: list[Path], on_step: OnStep) -> dict[Path, str]:
    by_name = {str(path.absolute()): path for path in paths}
    failed: dict[Path, str] = {}
    try:
        with TemporaryDirectory() as pieces:
            rows = judged_rows(None, iter(map(Video, by_name)), pool, PieceStore(Path(pieces)))
            for done, row in enumerate(rows, 1):
                if row["status"] == "error":
                    failed[by_name[row["path"]]] = row["error_message"]
                on_step(done, len(by_name))
    finally:
        pool.close()
    return failed


def _cached(cache: StreamCache, path: Path) -> bool:
    try:
        return cache.has(path)
    except MediaError:  # a worker will report it
        return False
