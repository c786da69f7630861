"""Localization metrics of results, and of others' files of proposed segments."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from extractors.clip import Doubles
from extractors.errors import InputError
from pipelines.data.samples import Sample
from pipelines.data.segment_truth import read_segments
from pipelines.data.truth import read_truth
from pipelines.metrics.segments import SegmentProtocol, localization
from pipelines.results.reading import segment_table, without_candidates
from pipelines.results.segment_files import matched, proposal_table, read_proposals, read_reported
from pipelines.storage.tables import OUR_NAMES, Columns

FRAME_RATE = 25.0  # of LAV-DF and ForgeryNet, frames a second
SLACK = 0.5  # seconds that a proposal may end after its video


def segment_file_metrics(
    predictions: Path,
    truth: Path,
    protocol: str,
    fps: float | None = None,
    splits: Path | None = None,
    columns: Columns = OUR_NAMES,
    intervals: bool = False,
) -> dict[str, Any]:
    """Return localization metrics of a file of proposed segments, ours or another detector's.

    Args:
        predictions: as `read_proposals` takes them.
        truth: as `read_truth` takes it.
        protocol: whose rules apply.
        fps: frame rate of files that count in frames. None: 25 for ForgeryNet's truth and for
            proposals in the protocol of LAV-DF, whose own writer counts frames; else seconds.
        splits: take only a manifest's clips of dev.
        columns: what a manifest calls our columns.
        intervals: also bootstrap intervals over videos.

    Raises:
        InputError: a file's format is unknown, the two name different videos, or the proposals
            are in another unit than assumed.
        OSError: a file cannot be opened.
    """
    segments, lengths = _true_segments(truth, fps or FRAME_RATE, splits, columns)
    rows = matched(read_proposals(predictions), segments)
    own = read_reported(predictions)
    reported = None if own is None else {n: len(r) for n, r in matched(own, segments).items()}
    rate = _frame_rate(truth, protocol, fps, own is not None)
    check_names(predictions, rows, truth, segments)
    _check_unit(predictions, rows, lengths, rate)
    if fps is None and rate == 1 and not lengths and own is None:
        _check_not_frames(predictions, rows, segments)
    try:
        result = localization(
            rows, segments, cast("SegmentProtocol", protocol), durations=lengths or None,
            reported=reported, fps=rate, intervals=intervals,
        )  # fmt: skip
    except InputError as error:
        raise InputError(f"{predictions}: {error}") from error
    return {"given": len(segments), "judged": len(set(rows) & set(segments)), **result.to_dict()}


def _true_segments(
    truth: Path, fps: float, splits: Path | None, columns: Columns
) -> tuple[dict[str, Doubles], dict[str, float]]:
    """Return the forged seconds by video, named as in the truth, and the durations it has."""
    if truth.suffix.lower() in (".json", ".txt"):
        return read_segments(truth, fps)
    segments = {}
    for sample in read_truth(truth, splits, columns, fps):
        if (spans := _spans(sample)) is None:
            continue  # forged, but the truth has no segments
        inside = sample.path.is_relative_to(truth.parent)
        name = str(sample.path.relative_to(truth.parent) if inside else sample.path)
        segments[name] = np.array(spans, dtype=float).reshape(-1, 2)
        if np.isinf(segments[name]).any():
            raise InputError(
                f"{truth}: {name} is forged as a whole, and nobody tells its length; write its "
                "seconds, such as [[0, 4.2]]"
            )
    if not segments:
        raise InputError(f"{truth}: of no clip it is known which seconds are forged")
    return segments, {}


def _frame_rate(truth: Path, protocol: str, fps: float | None, ours: bool) -> float:
    """Return the number by which predicted starts and ends are divided to give seconds."""
    if ours or truth.suffix == ".txt":  # fps is that of the truth then
        return 1.0
    return fps or (FRAME_RATE if protocol == "lavdf" else 1.0)


def check_names(
    predictions: Path, predicted: Collection[str], truth: Path, true: Collection[str]
) -> None:
    """Check that predictions and truth name the same videos.

    Raises:
        InputError: they have none in common, or differ in nothing but the folders.
    """
    alone = {Path(name).name: name for name in predicted if name not in true}
    missing = {Path(name).name: name for name in true if name not in predicted}
    if both := sorted(set(alone) & set(missing)):
        raise InputError(
            f"{predictions}: only the folders differ from {truth}, in {len(both)} names: "
            f"{alone[both[0]]} here, {missing[both[0]]} there; write them as the truth does"
        )
    if predicted and true and len(missing) == len(true):
        raise InputError(
            f"{predictions}: has none of the {len(true)} videos of {truth}: "
            f"{next(iter(alone.values()))} is not there, {next(iter(missing.values()))} is"
        )


def _check_unit(
    predictions: Path, rows: Mapping[str, Doubles], lengths: Mapping[str, float], fps: float
) -> None:
    """Check that proposals are in the assumed unit, as far as durations can tell.

    Raises:
        InputError: the best proposals of most videos end after the video, or all proposals would
            end within its first frames.
    """
    ends = {n: r[:, 2] for n, r in rows.items() if n in lengths and len(r)}
    late = {}
    for name, end in ends.items():
        best = end[rows[name][:, 0].argmax()] / fps
        if best > lengths[name] + SLACK:
            late[name] = best
    if len(late) > len(ends) / 2:
        name, best = next(iter(late.items()))
        raise InputError(
            f"{predictions}: the best proposal of {name} ends at {best:g} s, the video at "
            f"{lengths[name]:g} s, and so in {len(late)} of {len(ends)} videos; --fps "
            f"{FRAME_RATE:g} takes them for frames"
        )
    if fps > 1 and ends and all((end <= lengths[n] + SLACK).all() for n, end in ends.items()):
        raise InputError(
            f"{predictions}: no proposal ends after its video even if counted in seconds, so they "
            f"are no frames ({fps:g} a second); --fps 1 takes them for seconds"
        )


def _check_not_frames(
    predictions: Path, rows: Mapping[str, Doubles], segments: Mapping[str, Doubles]
) -> None:
    """Check by the forged seconds that proposals count no frames, where no duration is known.

    Raises:
        InputError: no best proposal touches a forged second, but most would as frames.
    """
    forged = {n for n, spans in segments.items() if len(spans)}
    best = {n: r[r[:, 0].argmax(), 1:3] for n, r in rows.items() if len(r) and n in forged}
    as_seconds, as_frames = (
        sum(_touches(span / rate, segments[n]) for n, span in best.items())
        for rate in (1.0, FRAME_RATE)
    )
    if as_seconds == 0 and as_frames > len(best) / 2:
        name, (start, end) = next(iter(best.items()))
        raise InputError(
            f"{predictions}: no video's best proposal touches its forged seconds, but counted in "
            f"frames {as_frames} of {len(best)} would ({name}: {start:g} to {end:g}); --fps "
            f"{FRAME_RATE:g} takes them for frames"
        )


def _touches(span: Doubles, segments: Doubles) -> bool:
    """Return whether a span (2,) has a time in common with one of the segments (N, 2)."""
    return bool(((segments[:, 0] < span[1]) & (segments[:, 1] > span[0])).any())


def segment_metrics(
    samples: Sequence[Sample], results: Mapping[str, Mapping[str, Any]], protocol: str
) -> dict[str, Any]:
    """Return localization metrics of the union of all modalities, with intervals over videos.

    A forged clip that could not be judged counts as one without proposals: its segments are
    missed. A genuine one has no known length and is left out, as are clips whose forged seconds
    are unknown. `judged` of `given` clips have a result; for `without_candidates` of them only the
    reported segments could be ranked.
    """
    labelled = [(s, spans) for s in samples if (spans := _spans(s)) is not None]
    judged = [(s, spans) for s, spans in labelled if _is_judged(results.get(str(s.path), {}))]
    truth: dict[str, list[list[float]]] = {}
    rows: dict[str, Doubles] = {}
    reported: dict[str, int] = {}
    durations: dict[str, float] = {}
    for sample, spans in judged:
        name = str(sample.path)
        result = results[name]
        length = float(result["media"]["duration"])
        truth[name] = [[s, min(e, length)] for s, e in spans]
        rows[name], reported[name] = proposal_table(result), len(result["segments"])
        durations[name] = length
    if judged:
        missed = {str(s.path): spans for s, spans in labelled if spans and str(s.path) not in truth}
        truth |= {name: [list(span) for span in spans] for name, spans in missed.items()}
        rows |= {name: segment_table(None) for name in missed}
    metrics = localization(
        rows, truth, cast("SegmentProtocol", protocol), durations=durations, reported=reported,
        intervals=True,
    )  # fmt: skip
    row = {"given": len(labelled), "judged": len(judged), **metrics.to_dict()}
    lacking = without_candidates(results[str(sample.path)] for sample, _ in judged)
    return row | ({"without_candidates": lacking} if lacking else {})


def _spans(sample: Sample) -> list[tuple[float, float]] | None:
    """Return the forged seconds in any modality; None if the clip is forged but not where."""
    spans = union(sample.any or ())
    return spans if bool(spans) == sample.fake else None


def _is_judged(result: Mapping[str, Any]) -> bool:
    """Return whether a result has segments; others' tables of scores have none."""
    timed = (result.get("media") or {}).get("duration") is not None
    return result.get("status") == "ok" and result.get("segments") is not None and timed


def union(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the union of spans, sorted, with overlapping and touching ones merged.

    >>> union([(3.0, 4.0), (1.0, 2.0), (1.5, 3.0)])
    [(1.0, 4.0)]
    """
    merged: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
