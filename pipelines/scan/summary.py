"""The summary of a result set: counts of verdicts and failures, and the throughput."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, TypedDict

from pipelines.detection.result import SCHEMA, Decision
from pipelines.results.result_set import ResultSet
from pipelines.scan.loop import Progress
from pipelines.storage.files import write_whole

MAX_CAUSES = 20  # of failure that are listed; the rest is counted together


class RunSummary(TypedDict):
    """The counts and throughput of one run of a scan."""

    videos: int
    failed: int
    seconds: float
    videos_per_hour: float


class Summary(TypedDict):
    """The summary of a result set."""

    schema: int
    results: str  # the folder of its Parquet files
    videos: int  # judged and failed
    judged: int
    failed: int
    verdicts: dict[Decision, int]
    causes: dict[str, int]  # of failure, the commonest first
    media_seconds: float  # of what was judged
    worker_seconds: float  # that workers were busy
    run: RunSummary  # the last one


def summarise(results: ResultSet, progress: Progress) -> Summary:
    """Return counts over the whole set, and the throughput of this run."""
    verdicts: Counter[Decision] = Counter()
    causes: Counter[str] = Counter()
    media_seconds = worker_seconds = 0.0
    columns = ["path", "status", "error_type", "error_message", "verdict", "seconds", "media"]
    for batch in results.read(columns):
        for row in batch.to_pylist():
            worker_seconds += row["seconds"] or 0.0
            if row["status"] == "ok":
                verdicts[row["verdict"]] += 1
                media_seconds += row["media"]["duration"] or 0.0
            else:
                causes[cause_of(row)] += 1
    listed = dict(causes.most_common(MAX_CAUSES))
    other = causes.total() - sum(listed.values())
    return {
        "schema": SCHEMA,
        "results": str(results.folder / "results"),
        "videos": verdicts.total() + causes.total(),
        "judged": verdicts.total(),
        "failed": causes.total(),
        "verdicts": dict(sorted(verdicts.items())),
        "causes": listed | ({"other causes": other} if other else {}),
        "media_seconds": round(media_seconds, 1),
        "worker_seconds": round(worker_seconds, 1),
        "run": {
            "videos": progress.done,
            "failed": progress.failed,
            "seconds": round(progress.seconds, 1),
            "videos_per_hour": round(3600 * progress.rate, 1),
        },
    }


def cause_of(row: dict[str, Any]) -> str:
    """Return why a video failed, without its name.

    >>> cause_of({"path": "a.mp4", "error_type": "MediaError", "error_message": "a.mp4 is empty"})
    'MediaError: is empty'
    """
    message = str(row["error_message"]).replace(row["path"], "").strip(" :")
    return f"{row['error_type']}: {message}"


def write_summary(folder: Path, summary: Summary) -> None:
    """Write the summary beside the results, whole or not at all."""
    write_whole(folder / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
