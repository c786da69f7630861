"""The scan of a corpus: `scan_corpus` is the whole of `avdetect scan`.

Ray divides the work, unless one worker is asked for: that one is this process.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.config import to_dict
from pipelines.detection.session import WeightsSpec
from pipelines.results.result_set import ResultSet, set_name
from pipelines.scan.budget import ErrorBudget
from pipelines.scan.cluster import OBJECT_STORE, cluster
from pipelines.scan.cores import alone
from pipelines.scan.detector_job import detector_job
from pipelines.scan.loop import OnProgress, Pool, Progress, run, todo
from pipelines.scan.plan import Plan, Resources, own_resources, plan_scan
from pipelines.scan.ray_pool import RayPool
from pipelines.scan.summary import Summary, summarise, write_summary
from pipelines.scan.worker import LoopPool
from pipelines.storage.sources import extra_columns, videos_of
from pipelines.storage.tables import OUR_NAMES, Columns


@dataclass(frozen=True)
class ScanConfig:
    """How a corpus is scanned."""

    model: WeightsSpec = field(default_factory=WeightsSpec)
    workers: int | None = None  # None: as many as fit on the cluster; 1: this process, no cluster
    cores: int | None = None  # per worker; None: see `plan_scan`
    judges: int | None = None  # processes that judge for the workers; None: see `plan_scan`
    timelines: bool = False  # also keep the scores of every step
    fresh: bool = False  # discard earlier results of this model and configuration
    address: str | None = None  # of a Ray cluster; None: one on this machine, for this run
    limit: float = 300.0  # seconds without progress after which a Ray worker's video is abandoned
    columns: Columns = field(default_factory=dict)  # our column names -> the manifest's
    budget: ErrorBudget = field(default_factory=ErrorBudget)  # how many videos may fail


@dataclass(frozen=True)
class Beginning:
    """What a scan is about to do."""

    folder: Path
    already: int  # videos of the result set that have a row
    todo: int
    plan: Plan | None  # None: there is nothing to do


OnBegin = Callable[[Beginning], None]


def scan_corpus(
    source: str, out: Path, config: ScanConfig, on_begin: OnBegin, on_progress: OnProgress
) -> Summary:
    """Scan a source until every video has its row, and return the result set's summary.

    Raises:
        SourceError: the source cannot be read.
        ResultError: the results cannot be written.
        ScratchError: a worker has no room for copies of remote videos.
        PlanError: the cluster lacks the requested resources.
        PoolError: there is no cluster, or no worker starts.
        BudgetError: more videos failed than may.
        ValueError, OSError: the model cannot be loaded.
    """

    def on_video(progress: Progress) -> None:
        on_progress(progress)
        config.budget.check(progress)

    begins = _begins(source, out, config.columns)
    with ExitStack() as stack:
        aside = stack.enter_context(ThreadPoolExecutor(1))
        loading = aside.submit(identity_of, config.model, config.timelines)
        found = stack.enter_context(_resources(config)) if begins else None  # while the model loads
        identity = loading.result()
        results = stack.enter_context(
            open_results(source, out, identity, config.fresh, config.columns)
        )
        total = sum(1 for _ in todo(source, results, config.columns))
        if total:
            found = found or stack.enter_context(_resources(config))
            plan = _planned(config, found)
            on_begin(Beginning(results.folder, len(results), total, plan))
            pool = stack.enter_context(closing(_pool(config, identity["model"], plan)))
            progress = run(source, results, pool, total, on_video, config.columns)
        else:
            on_begin(Beginning(results.folder, len(results), 0, None))
            progress = Progress(0, 0, 0, 0.0)
        results.finish()
        summary = summarise(results, progress)
        write_summary(results.folder, summary)
    return summary


def make_plan(config: ScanConfig) -> Plan:
    """Return the plan of a scan on the cluster, without running it.

    Raises:
        PlanError, PoolError: see `scan_corpus`.
    """
    with _resources(config) as found:
        return _planned(config, found)


def _planned(config: ScanConfig, found: Resources) -> Plan:
    """Return the plan for the resources of a cluster or of this machine."""
    if _alone(config):
        cores = config.cores or int(found.cpus)
        plan = plan_scan(found, config.model.device, 1, 0, cores)
        return replace(plan, gpus=float(plan.gpus > 0), reason="in this process, without Ray")
    return plan_scan(found, config.model.device, config.workers, config.judges, config.cores)


def _alone(config: ScanConfig) -> bool:
    """Return whether this process does all the work."""
    return config.workers == 1 and not config.judges and config.address is None


def _begins(source: str, out: Path, columns: Columns) -> bool:
    """Return whether there certainly are videos to judge, so that Ray may start at once.

    Raises:
        SourceError: the source cannot be read.
    """
    first = next(videos_of(source, columns), None)
    return first is not None and not any(out.glob("*/set.json"))


def _resources(config: ScanConfig) -> AbstractContextManager[Resources]:
    """Return what this machine has, or the cluster, as a context manager."""
    if _alone(config):
        return nullcontext(own_resources(config.model.device))
    stages = config.judges or (config.judges is None and config.model.device == "cuda")
    return cluster(config.address, None if stages else OBJECT_STORE)  # streams may go through it


def _pool(config: ScanConfig, model: dict[str, str], plan: Plan) -> Pool:
    """Return the plan's workers; with a judging stage they run on the CPU alone."""
    if _alone(config):
        load = partial(detector_job, config.model)
        return LoopPool(load() if config.cores is None else alone(config.cores, load))
    if not plan.judges:
        load = partial(detector_job, config.model)
        return RayPool(partial(alone, plan.cpus, load), model, plan, config.limit)
    load = partial(detector_job, replace(config.model, device="cpu"))
    worker = partial(alone, plan.cpus, load)
    judge = partial(alone, 1, config.model.load)
    return RayPool(worker, model, plan, config.limit, judge)


def identity_of(model: WeightsSpec, timelines: bool) -> dict[str, Any]:
    """Return the identity of a result set: results of one model and configuration share it."""
    from pipelines.detection.result import SCHEMA

    session = replace(model, device="cpu").load()  # the GPUs may be the workers' alone
    config = to_dict(session.config)
    config["media"].pop("threads")  # changes how fast, not what
    return {
        "schema": SCHEMA, "model": session.model, "config": config, "timelines": timelines,
        "shard": model.shard,
    }  # fmt: skip


def open_results(
    source: str,
    out: Path,
    identity: dict[str, Any],
    fresh: bool,
    columns: Columns = OUR_NAMES,
) -> ResultSet:
    """Return the result set of this model and configuration; `fresh` empties it first.

    Raises:
        SourceError: the source's manifest cannot be read.
        ResultError: the set cannot be used.
    """
    extra = [(name, _type_of(kind)) for name, kind in extra_columns(source, columns)]
    if fresh:
        ResultSet(out, identity).close()  # raises if another scan is writing there
        shutil.rmtree(out / set_name(identity))
    return ResultSet(out, identity, extra)


def _type_of(kind: str) -> pa.DataType:
    """Return a manifest column's Arrow type; text for types without an alias."""
    try:
        return pa.type_for_alias(kind)
    except ValueError:
        return pa.string()
