"""Scores of how little each file of an unlabelled corpus has in common with the others (MuSc).

The files are compared in groups: within one, all with all. So neither memory nor time a file grows
with the corpus, and groups are what workers share. Which files meet depends on their content alone.

Source: Li et al., MuSc, ICLR 2024, whose authors divide large sets likewise.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from extractors.errors import InputError
from pipelines.detection.starter import STARTER
from pipelines.mutual.worker import (
    ComparedModality,
    GroupScorer,
    TokenJob,
    model_of,
    score_file,
    scorer,
    token_file,
)
from pipelines.results.result_set import ResultError
from pipelines.results.row_schema import Row
from pipelines.scan.cluster import cluster
from pipelines.scan.cores import alone
from pipelines.scan.corpus import Beginning, OnBegin
from pipelines.scan.loop import OnProgress, Pool, Progress, judged_rows
from pipelines.scan.plan import plan_scan
from pipelines.scan.ray_pool import RayPool
from pipelines.scan.tasks import PieceStore
from pipelines.scan.worker import Job, LoopPool
from pipelines.storage.files import write_whole
from pipelines.storage.sources import Video, videos_of
from pipelines.storage.tables import Columns

GROUP = 200  # files that are compared with each other at most
Load = Callable[[], Job]
Pools = Callable[[Load, dict[str, str]], Pool]


@dataclass(frozen=True)
class MutualConfig:
    """How a corpus is compared with itself."""

    modality: ComparedModality = "visual"
    weights: Path = STARTER  # whose experts' tokens are compared
    workers: int | None = None  # None: as many as the cluster carries
    fresh: bool = False  # take all tokens anew
    address: str | None = None  # of a Ray cluster; None: one on this machine, for this run
    limit: float = 300.0  # seconds without progress after which a file is given up
    columns: Columns = field(default_factory=dict)  # what a manifest calls our columns


@dataclass(frozen=True)
class MutualSummary:
    """What was found."""

    file: Path  # .parquet with a row a file, the most peculiar first
    rows: list[Row]  # of the files that could be compared
    failed: dict[str, str]  # causes by path
    common: int  # files that share something with too many to be found


def scan_mutual(
    source: str, out: Path, config: MutualConfig, on_begin: OnBegin, on_progress: OnProgress
) -> MutualSummary:
    """Return how little each file of a source has in common with the others, kept in `out`.

    The first six seconds of each file are looked at. Tokens of earlier runs are taken as they are.
    Workers write to `out`: on a cluster, all nodes must see it.

    Raises:
        SourceError: the source cannot be read.
        ResultError: the results cannot be written.
        PlanError, PoolError: there are no such workers, or none comes up.
        InputError, OSError: fewer than three files can be compared, or weights cannot be loaded.
    """
    model = model_of(config.weights)
    folder = (out / f"mutual-{config.modality}-{model['sha256'][:12]}").absolute()
    videos = list({video.path: video for video in videos_of(source, config.columns)}.values())
    with cluster(config.address) as found:
        plan = plan_scan(found, "cpu", config.workers, judges=0)
        on_begin(Beginning(folder, 0, len(videos), plan))

        def pools(load: Load, expected: dict[str, str]) -> Pool:
            return RayPool(partial(alone, plan.cpus, load), expected, plan, config.limit)

        return compare(source, videos, folder, config, pools, on_progress)


def compare(
    source: str,
    videos: Sequence[Video],
    folder: Path,
    config: MutualConfig,
    pools: Pools,
    on_progress: OnProgress,
) -> MutualSummary:
    """Return what `scan_mutual` does, by workers that somebody else provides."""
    try:
        if config.fresh:
            shutil.rmtree(folder, ignore_errors=True)
        for name in ("tokens", "groups"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultError(f"{folder}: cannot be written ({error.strerror})") from error
    job = TokenJob(config.weights.absolute(), config.modality, folder / "tokens")
    pool = pools(job, model_of(config.weights))
    taken = _all_rows(source, videos, pool, on_progress)
    failed = {row["path"]: row["error_message"] for row in taken if row["status"] == "error"}
    contents = {row["path"]: row["sha256"] for row in taken if row["status"] == "ok"}
    groups = _groups(sorted(set(contents.values())), folder)
    # one group is compared here, in less time than a worker needs to come up
    pool = pools(scorer, GroupScorer.model) if len(groups) > 1 else LoopPool(GroupScorer())
    for row in _all_rows(None, [Video(str(path)) for path in groups], pool):
        if row["status"] == "error":
            raise ResultError(row["error_message"])
    found = _found(groups)
    rows = [_row(path, found[sha256]) for path, sha256 in contents.items()]
    rows.sort(key=lambda row: (-row["score"], row["path"]))
    file = folder / "scores.parquet"
    bad = [{"path": p, "status": "error", "error_message": why} for p, why in failed.items()]
    write_scores(file, [*rows, *bad])
    return MutualSummary(file, rows, failed, sum(row["common"] for row in rows))


def _all_rows(
    source: str | None,
    videos: Iterable[Video],
    pool: Pool,
    on_progress: OnProgress = lambda progress: None,
) -> list[Row]:
    """Return a row for each file or group when workers are done with all; they are let go then."""
    videos, begin = list(videos), time.perf_counter()
    rows: list[Row] = []
    try:
        with TemporaryDirectory() as pieces:
            for row in judged_rows(source, iter(videos), pool, PieceStore(Path(pieces))):
                rows.append(row)
                failed = sum(row["status"] == "error" for row in rows)
                seconds = time.perf_counter() - begin
                on_progress(Progress(len(videos), len(rows), failed, seconds))
    finally:
        pool.close()
    return rows


def _groups(contents: Sequence[str], folder: Path) -> list[Path]:
    """Write the lists of those that meet, of about one size; return their files.

    A list is named by what is in it, so that its scores are found again.

    Raises:
        InputError: there are fewer than three contents.
    """
    if len(contents) < 3:
        raise InputError(
            f"mutual scoring compares files: expected 3 or more to compare, got {len(contents)}"
        )
    count = -(-len(contents) // GROUP)
    files = []
    for place in range(count):
        names = [str(token_file(folder / "tokens", sha256)) for sha256 in contents[place::count]]
        text = json.dumps(names).encode()
        file = folder / "groups" / f"{hashlib.sha256(text).hexdigest()[:16]}.json"
        write_whole(file, text)
        files.append(file)
    return files


def _found(groups: Sequence[Path]) -> dict[str, Row]:
    """Return what was found of each content."""
    found: dict[str, Row] = {}
    for number, group in enumerate(groups):
        names = json.loads(group.read_text())
        columns = json.loads(score_file(group).read_text())
        for index, name in enumerate(names):
            row = {column: values[index] for column, values in columns.items()}
            found[Path(name).stem] = row | {"group": number}
    return found


def _row(path: str, found: Row) -> Row:
    return {"path": path, "status": "ok", **found}


SCHEMA = pa.schema(
    {
        "path": pa.string(), "status": pa.string(), "error_message": pa.string(),
        "score": pa.float64(), "second": pa.float64(), "peers": pa.int64(), "common": pa.bool_(),
        "group": pa.int64(),
    },
    metadata={"avdetect.mutual": "1"},
)  # fmt: skip


def write_scores(file: Path, rows: Sequence[Row]) -> None:
    """Write the rows; a column that a row lacks is null."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows), SCHEMA), sink)
    write_whole(file, sink.getvalue())
