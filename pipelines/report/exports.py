"""Segments of a result in, files that players, spreadsheets and Audacity read out."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from pipelines.detection.result import PlainSegment, Result
from pipelines.report.wording import MODALITIES


def webvtt(result: Result) -> str:
    """Return the segments as WebVTT cues (W3C), in the order of their beginnings.

    Where there are none, a note says why.
    """
    if not result["segments"]:
        return f"WEBVTT\n\nNOTE {_why_empty(result)}\n"
    cues = [
        f"{_stamp(s['start'])} --> {_stamp(s['end'])}\n{_words(s)}\n" for s in _in_order(result)
    ]
    return "\n".join(["WEBVTT\n", *cues])


def table(result: Result) -> str:
    """Return the segments as CSV with a header: start and end in seconds, score, modality."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["start", "end", "score", "modality"])
    for s in _in_order(result):
        writer.writerow([f"{s['start']:.3f}", f"{s['end']:.3f}", s["score"], s["modality"]])
    return file.getvalue()


def audacity(result: Result) -> str:
    """Return the segments as an Audacity label track: start, end and text between tabs."""
    return "".join(f"{s['start']:.6f}\t{s['end']:.6f}\t{_words(s)}\n" for s in _in_order(result))


EXPORTS = {"vtt": (".vtt", webvtt), "csv": (".csv", table), "labels": (".txt", audacity)}


def write_export(kind: str, result: Result, folder: Path, stem: str) -> Path | None:
    """Write one of `EXPORTS` of a result into a folder; return its path.

    A label track without labels is none: it is not written, and one from before is removed.
    """
    suffix, make = EXPORTS[kind]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}{suffix}"
    if kind == "labels" and not result["segments"]:
        path.unlink(missing_ok=True)
        return None
    path.write_text(make(result), encoding="utf-8")
    return path


def _in_order(result: Result) -> list[PlainSegment]:
    return sorted(result["segments"], key=lambda s: (s["start"], s["end"], s["modality"]))


def _words(segment: PlainSegment) -> str:
    return f"{MODALITIES[segment['modality']]}: fake, score {segment['score']:.2f}"


def _why_empty(result: Result) -> str:
    """Return in a sentence why a result has no segments."""
    if result["score"] is None:
        return "Nothing in the file could be judged, so no stretch is named."
    return (
        f"The file is {result['verdict']}, score {result['score']:.2f}; no stretch looks fake "
        "surely enough to be named."
    )


def _stamp(seconds: float) -> str:
    """Return a time as hh:mm:ss.mmm.

    >>> _stamp(3661.0305)
    '01:01:01.030'
    """
    minutes, milliseconds = divmod(round(1000 * seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"
