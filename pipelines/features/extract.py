"""The extraction of a corpus: `extract_corpus` is the whole of `avdetect extract`.

Every clip is a file named by its content in `clips/`, and a line of `index.jsonl`. A clip that is
there is skipped; one that broke off or could not be read is tried again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.config import to_dict
from pipelines.detection.session import WeightsSpec
from pipelines.features.clip_file import Wanted, read_clip_facts
from pipelines.features.feature_job import FeatureLoader, clip_file
from pipelines.features.layouts import FEATURES, Layout, write_layout
from pipelines.results.result_set import ResultError, set_name
from pipelines.results.row_schema import CURVES, FIELDS, Row, readable
from pipelines.scan.cluster import cluster
from pipelines.scan.cores import alone
from pipelines.scan.corpus import Beginning, OnBegin
from pipelines.scan.loop import OnProgress, Pool, Progress, judged_rows
from pipelines.scan.plan import Plan, Resources, own_resources, plan_scan
from pipelines.scan.ray_pool import RayPool
from pipelines.scan.tasks import PieceStore
from pipelines.scan.worker import LoopPool
from pipelines.storage.kept_rows import KeptRows
from pipelines.storage.sources import Video, videos_of
from pipelines.storage.tables import Columns

OnFailure = Callable[[str], None]


@dataclass(frozen=True)
class ExtractConfig:
    """How a corpus is extracted."""

    wanted: Wanted = field(default_factory=Wanted)
    layout: Layout | None = None  # also write features as another program reads them
    model: WeightsSpec = field(default_factory=WeightsSpec)
    workers: int | None = None  # None: as many as fit on the cluster; 1: this process, no cluster
    fresh: bool = False  # discard earlier features of this model and configuration
    address: str | None = None  # of a Ray cluster; None: one on this machine, for this run
    limit: float = 300.0  # seconds without progress after which a Ray worker's clip is abandoned
    columns: Columns = field(default_factory=dict)  # our column names -> the manifest's


@dataclass(frozen=True)
class Extracted:
    """What an extraction ended with."""

    folder: Path  # of `index.jsonl` and `clips/`
    clips: int  # that have features
    failed: int  # that could not be read
    layout: Path | None  # the folder of the layout


def extract_corpus(
    sources: Sequence[str],
    out: Path,
    config: ExtractConfig,
    on_begin: OnBegin,
    on_progress: OnProgress,
    on_failure: OnFailure,
) -> Extracted:
    """Write the features of all clips of some sources; on a cluster, all nodes must see `out`.

    Raises:
        InputError: a source cannot be read, or a name is unknown.
        ResultError: the folder cannot be written.
        PlanError, PoolError: the cluster is missing or too small, or workers fail.
        ScratchError: there is no room for copies of remote clips or for the cache.
    """
    wanted = config.wanted
    if config.layout is not None:
        wanted = replace(wanted, tokens=tuple(dict.fromkeys((*wanted.tokens, *FEATURES))))
    session = replace(config.model, device="cpu", cache=None).load()
    wanted = wanted.of(session.detector)
    settings = to_dict(session.config)
    settings["media"].pop("threads")
    identity = {
        "model": session.model, "config": settings,
        "streams": wanted.streams, "tokens": wanted.tokens,
    }  # fmt: skip
    folder = (out / set_name(identity)).absolute()
    _make(folder, config.fresh)
    index = KeptRows(folder / "index.jsonl", ("path",), session.model)
    for key in [key for key, row in index.rows.items() if row["status"] != "ok"]:
        del index.rows[key]
    total = sum(1 for source in sources for _ in _todo(source, config.columns, index))
    already = len(index.rows)
    if total:
        loader = FeatureLoader(config.model, wanted, folder / "clips")
        with _resources(config) as found:
            plan = _plan(config, found)
            on_begin(Beginning(folder, already, total, plan))
            with closing(_pool(config, loader, session.model, plan)) as pool:
                _run(sources, config, index, pool, total, on_progress, on_failure)
    else:
        on_begin(Beginning(folder, already, 0, None))
    good = [row for row in index.rows.values() if row["status"] == "ok"]
    place = None
    if config.layout is not None:
        place = write_layout(config.layout, folder, good)
    return Extracted(folder, len(good), len(index.rows) - len(good), place)


def _make(folder: Path, fresh: bool) -> None:
    try:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        (folder / "clips").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultError(f"{folder}: cannot be written ({error.strerror})") from error


def _todo(source: str, columns: Columns, index: KeptRows) -> Iterator[Video]:
    return (
        video for video in videos_of(source, columns) if (readable(video.path),) not in index.rows
    )


def _resources(config: ExtractConfig) -> AbstractContextManager[Resources]:
    if config.workers == 1 and config.address is None:
        return nullcontext(own_resources(config.model.device))
    return cluster(config.address)


def _plan(config: ExtractConfig, found: Resources) -> Plan:
    if config.workers == 1 and config.address is None:
        plan = plan_scan(found, config.model.device, 1, 0, int(found.cpus))
        return replace(plan, reason="in this process, without Ray")
    return plan_scan(found, config.model.device, config.workers, judges=0)


def _pool(config: ExtractConfig, loader: FeatureLoader, model: Any, plan: Plan) -> Pool:
    if config.workers == 1 and config.address is None:
        return LoopPool(loader())
    return RayPool(partial(alone, plan.cpus, loader), model, plan, config.limit)


def _run(
    sources: Sequence[str],
    config: ExtractConfig,
    index: KeptRows,
    pool: Pool,
    total: int,
    on_progress: OnProgress,
    on_failure: OnFailure,
) -> None:
    """Extract what has no line in the index, and append one for each clip."""
    begin, done, failed = time.perf_counter(), 0, 0
    folder = index.path.parent if index.path is not None else Path()
    for source in sources:
        videos, pieces = _todo(source, config.columns, index), PieceStore(folder / "pieces")
        for row in judged_rows(source, videos, pool, pieces):
            line = _line(row, folder)
            index.row((row["path"],), lambda line=line: line)  # type: ignore[misc]
            done += 1
            if line["status"] != "ok":
                failed += 1
                on_failure(line["error"])
            seconds = time.perf_counter() - begin
            on_progress(Progress(max(total, done), done, failed, seconds))


def _line(row: Row, folder: Path) -> Row:
    """Return the line of the index for a clip: its file, facts, shapes, and manifest's columns."""
    others = {n: v for n, v in row.items() if n not in FIELDS and n not in CURVES}
    manifest = {
        name.removeprefix("manifest_"): v if isinstance(v, str | int | float | None) else str(v)
        for name, v in others.items()
    }
    if row["status"] != "ok":
        return {"status": "error", "error": row["error_message"], "manifest": manifest}
    file = clip_file(folder / "clips", row["sha256"])
    facts, shapes = read_clip_facts(file)
    return {
        "status": "ok", "file": str(file.relative_to(folder)), **facts, "tensors": shapes,
        "manifest": manifest,
    }  # fmt: skip
