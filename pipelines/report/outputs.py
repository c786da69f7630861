"""One file judged, and everything that was asked for written about it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, cast

from extractors.errors import AvdetectError
from extractors.media import file_sha256
from pipelines.detection.result import Result
from pipelines.evidence.recorder import Evidence, explain
from pipelines.report.annotated_video import burn_in
from pipelines.report.exports import EXPORTS, write_export
from pipelines.report.page import Origin, write_report
from pipelines.streams.stream_cache import Extract

if TYPE_CHECKING:
    from pipelines.detection.session import DetectorSession
    from pipelines.detection.verdict import Verdict
    from pipelines.progress import OnStep


TagOf = Callable[[Extract, Result], str | None]  # of a file's opening and its result


@dataclass(frozen=True)
class Outputs:
    """Folders to write into; None: not asked for."""

    report: Path | None = None  # pages
    burn_in: Path | None = None  # annotated videos
    vtt: Path | None = None  # segments, in the formats of `pipelines.report.exports`
    csv: Path | None = None
    labels: Path | None = None

    def make_folders(self) -> None:
        """Make the folders, so that one that cannot be written to is known before any work.

        Raises:
            OSError: a folder cannot be made.
        """
        for folder in (self.report, self.burn_in, self.vtt, self.csv, self.labels):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)


def judge_and_write(
    video: str | PathLike[str],
    session: DetectorSession,
    outputs: Outputs,
    origin: Origin,
    on_step: OnStep | None = None,
    name: str | None = None,
    tag_of: TagOf | None = None,
) -> tuple[Result, list[Path]]:
    """Return the result of a file, and the files that were asked for and are written.

    `name` is what the result and its page call the file; None: its path. `tag_of` tells what
    kind of forgery a page is to explain, see `pipelines.evidence.tags`.

    Evidence is gathered only for a page or an annotated video: without, this is a detection.

    Raises:
        MediaError: the file cannot be read.
        OSError: something cannot be written.
    """
    if outputs.report is None and outputs.burn_in is None:
        result, evidence = session.detect(video, on_step).to_dict(), None
    else:
        verdict, evidence = explain(video, session, on_step)
        result = verdict.to_dict()
        if tag_of is not None:
            evidence = replace(evidence, tag=tag_of(evidence.opening, result))
    result["path"] = name or result["path"]
    stem = page_stem(result)
    written = write_exports(result, outputs, stem)
    if evidence is not None:
        if outputs.report is not None:
            page = outputs.report / f"{stem}.html"
            write_report(result, video, page, evidence, origin)
            written.insert(0, page)
        written += write_annotated(result, video, evidence, outputs, stem)
    return result, written


def write_about(
    result: Result,
    video: Path,
    page: Path,
    session: DetectorSession,
    outputs: Outputs,
    origin: Origin,
    on_step: OnStep | None = None,
    tag_of: TagOf | None = None,
) -> list[Path]:
    """Write a page, and what else was asked for, about a result that is there already.

    Returns the files that are written, the page first.

    Raises:
        ReportError: other weights made the result: the evidence would not be for its scores.
        MediaError: the video cannot be read.
        OSError: something cannot be written.
    """
    made_by = result["model"]["sha256"]
    if made_by != session.model["sha256"]:
        raise ReportError(
            f"the result of {video} was made by other weights, of SHA-256 {made_by}; give "
            "their file as the weights"
        )
    if "uncertain" not in result:  # an older avdetect's
        result = {**result, "uncertain": list(session.config.judge.uncertain)}
    stem = page_stem(result)
    exports = write_exports(result, outputs, stem)
    evidence = explain(video, session, on_step)[1]
    if tag_of is not None:
        evidence = replace(evidence, tag=tag_of(evidence.opening, result))
    write_report(result, video, page, evidence, origin)
    return [page, *exports, *write_annotated(result, video, evidence, outputs, stem)]


def save_report(verdict: Verdict, page: Path, session: DetectorSession) -> None:
    """Write the page of a verdict; its file is judged once more, for the evidence.

    Raises:
        ReportError: the file has changed since, or other weights made the verdict.
        MediaError: the file cannot be read.
        OSError: the page cannot be written.
    """
    if file_sha256(verdict.path) != verdict.sha256:
        raise ReportError(f"{verdict.path} has changed since it was judged, by its SHA-256")
    origin = Origin("avdetect.save_report", metadata.version("avdetect"))
    write_about(verdict.to_dict(), Path(verdict.path), page, session, Outputs(), origin)


def write_exports(result: Result, outputs: Outputs, stem: str) -> list[Path]:
    """Write the result's segments in the formats that were asked for; return the files."""
    folders: dict[str, Path | None] = {kind: getattr(outputs, kind) for kind in EXPORTS}
    asked = {kind: folder for kind, folder in folders.items() if folder is not None}
    paths = [write_export(kind, result, folder, stem) for kind, folder in asked.items()]
    return [path for path in paths if path is not None]


def write_annotated(
    result: Result,
    video: str | PathLike[str],
    evidence: Evidence,
    outputs: Outputs,
    stem: str,
) -> list[Path]:
    """Write the annotated video where one was asked for; sound alone has nothing to draw into."""
    if outputs.burn_in is None or result["media"]["video_codec"] is None:
        return []
    out = outputs.burn_in / f"{stem}.mp4"
    burn_in(result, video, evidence.boxes, out)
    return [out]


class ReportError(AvdetectError):
    """There is no such result to write a page of. The message is one sentence."""


def page_stem(result: Result) -> str:
    """Return a name for what is written of a result: the video's, made harmless, and its hash.

    >>> page_stem({"path": "x/../a b<i>.mp4", "sha256": "0123456789abcdef"})
    'a_b_i_-01234567'
    """
    stem = re.sub(r"[^\w.-]", "_", Path(result["path"]).stem)[:80]
    return f"{stem}-{result['sha256'][:8]}"


def read_result(path: Path, video: Path) -> Result:
    """Return the last result in a file of JSON lines, or of one object, that is of this video.

    Raises:
        ReportError: the file holds no results, or none of this video.
        MediaError: the video cannot be opened.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "not text"
        raise ReportError(f"{path}: cannot be read ({cause})") from error
    rows = _rows(text)
    if not rows:
        raise ReportError(f"{path}: holds no result of `avdetect detect --json`")
    content = file_sha256(video)
    mine = [row for row in rows if row.get("sha256") == content]
    if not mine:
        raise ReportError(f"{path}: holds no result of {video}, by the SHA-256 of its content")
    return mine[-1]


def _rows(text: str) -> list[Result]:
    """Return the results among a text's JSON, one object or one a line."""
    rows: list[Result] = []
    for part in (text, *text.splitlines()):
        try:
            row = json.loads(part)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and row.get("schema") == 1 and row.get("status") == "ok":
            rows.append(cast("Result", row))
    return rows
