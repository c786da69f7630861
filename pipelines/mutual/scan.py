"""Mutual scoring of an unlabelled corpus (MuSc): how unlike the others each file is.

The files are compared in groups, all with all within each. So neither memory nor time per file
grows with the corpus, and workers can share the groups. The grouping depends on the files' content
alone.

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
    workers: int | None = None  # None: as many as fit on the cluster
    fresh: bool = False  # compute all tokens again
    address: str | None = None  # of a Ray cluster; None: one on this machine, for this run
    limit: float = 300.0  # seconds without progress after which a file is abandoned
    columns: Columns = field(default_factory=dict)  # our column names -> the manifest's


@dataclass(frozen=True)
class MutualSummary:
    """The scores of a corpus."""

    file: Path  # .parquet with a row per file, highest score first
    rows: list[Row]  # of the files that could be compared
    failed: dict[str, str]  # causes by path
    common: int  # files that share a trait with too many others, see `MutualScores.common`


def scan_mutual(
    source: str, out: Path, config: MutualConfig, on_begin: OnBegin, on_progress: OnProgress
) -> MutualSummary:
    """Return the mutual scores of a source's files, which are also kept in `out`.

    The first six seconds of each file are compared. Tokens of earlier runs are reused. Workers
    write to `out`: on a cluster, all nodes must have access to it.

    Raises:
        SourceError: the source cannot be read.
        ResultError: the results cannot be written.
        PlanError, PoolError: there are too few cores, or no worker starts.
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
    """Return what `scan_mutual` returns, on worker pools that the caller provides."""
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
    # a single group is compared in this process, in less time than a worker needs to start
    pool = pools(scorer, GroupScorer.model) if len(groups) > 1 else LoopPool(GroupScorer())
    for row in _all_rows(None, [Video(str(path)) for path in groups], pool):
        if row["status"] == "error":
            raise ResultError(row["error_message"])
    scores = _scores(groups)
    rows = [_row(path, scores[sha256]) for path, sha256 in contents.items()]
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
    """Return a row for each file or group, and end the workers."""
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
    """Write the lists of the files that are compared, of about equal size; return their paths.

    A list is named by the hash of its content, so that its scores can be reused.

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


def _scores(groups: Sequence[Path]) -> dict[str, Row]:
    """Return the score row of each content, by its SHA-256."""
    scores: dict[str, Row] = {}
    for number, group in enumerate(groups):
        names = json.loads(group.read_text())
        columns = json.loads(score_file(group).read_text())
        for index, name in enumerate(names):
            row = {column: values[index] for column, values in columns.items()}
            scores[Path(name).stem] = row | {"group": number}
    return scores


def _row(path: str, scores: Row) -> Row:
    return {"path": path, "status": "ok", **scores}


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
