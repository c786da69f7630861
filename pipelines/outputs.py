"""One file judged, and everything that was asked for written about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extractors.media import file_sha256
from pipelines.burn_in import burn_in
from pipelines.explain import Evidence, explain
from pipelines.exports import EXPORTS, write_export
from pipelines.report import Origin, write_report
from pipelines.report_results import ResultError, page_stem

if TYPE_CHECKING:
    from pipelines.detect import Session
    from pipelines.stopwatch import OnStep
    from pipelines.verdict import Verdict


@dataclass(frozen=True)
class Outputs:
    """Folders to write into; None: not asked for."""

    report: Path | None = None  # pages
    burn_in: Path | None = None  # annotated videos
    vtt: Path | None = None  # segments, in the formats of `pipelines.exports`
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
    session: Session,
    outputs: Outputs,
    origin: Origin,
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Return the result of a file, once what was asked for is written.

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
    stem = page_stem(result)
    write_exports(result, outputs, stem)
    if evidence is not None:
        if outputs.report is not None:
            write_report(result, video, outputs.report / f"{stem}.html", evidence, origin)
        write_annotated(result, video, evidence, outputs, stem)
    return result


def write_about(
    result: Mapping[str, Any],
    video: Path,
    page: Path,
    session: Session,
    outputs: Outputs,
    origin: Origin,
    on_step: OnStep | None = None,
) -> None:
    """Write a page, and what else was asked for, about a result that is there already.

    Raises:
        ResultError: other weights made the result: the evidence would not be for its scores.
        MediaError: the video cannot be read.
        OSError: something cannot be written.
    """
    made_by = result["model"]["sha256"]
    if made_by != session.model["sha256"]:
        raise ResultError(
            f"the result of {video} was made by other weights, of SHA-256 {made_by}; name them "
            f"with --weights"
        )
    stem = page_stem(result)
    write_exports(result, outputs, stem)
    evidence = explain(video, session, on_step)[1]
    write_report(result, video, page, evidence, origin)
    write_annotated(result, video, evidence, outputs, stem)


def save_report(verdict: Verdict, page: Path) -> None:
    """Write the page of a verdict, see `Verdict.save_report`."""
    if verdict.session is None:
        raise ResultError(f"the verdict on {verdict.path} has no session to judge the file with")
    if file_sha256(verdict.path) != verdict.sha256:
        raise ResultError(f"{verdict.path} has changed since it was judged, by its SHA-256")
    origin = Origin("Verdict.save_report", metadata.version("avdetect"))
    write_about(verdict.to_dict(), Path(verdict.path), page, verdict.session, Outputs(), origin)


def write_exports(result: Mapping[str, Any], outputs: Outputs, stem: str) -> None:
    """Write the result's segments in the formats that were asked for."""
    for kind in EXPORTS:
        folder: Path | None = getattr(outputs, kind)
        if folder is not None:
            write_export(kind, result, folder, stem)


def write_annotated(
    result: Mapping[str, Any],
    video: str | PathLike[str],
    evidence: Evidence,
    outputs: Outputs,
    stem: str,
) -> None:
    """Write the annotated video where one was asked for; sound alone has nothing to draw into."""
    if outputs.burn_in is not None and result["media"]["video_codec"] is not None:
        burn_in(result, video, evidence.boxes, outputs.burn_in / f"{stem}.mp4")
