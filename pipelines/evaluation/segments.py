"""Results or others' files of segments and their truth in, localization metrics out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from extractors.clip import Doubles
from pipelines.data.samples import Sample
from pipelines.data.segment_truth import read_segments
from pipelines.metrics.segments import SegmentProtocol, localization
from pipelines.results.reading import segment_table
from pipelines.results.segment_files import matched, proposal_table, read_proposals, read_reported
from temporal.segment import MODALITIES


def segment_file_metrics(
    predictions: Path, truth: Path, protocol: str, fps: float | None = None
) -> dict[str, Any]:
    """Return localization metrics of files of segments, whoever's they are."""
    segments, lengths = read_segments(truth, fps or 25.0)
    rows = matched(read_proposals(predictions), segments)
    own = read_reported(predictions)
    reported = None if own is None else {n: len(r) for n, r in matched(own, segments).items()}
    found = localization(
        rows, segments, cast("SegmentProtocol", protocol), durations=lengths or None,
        reported=reported,
        fps=1.0 if fps is None or truth.suffix == ".txt" else fps,
    )  # fmt: skip
    return {"given": len(segments), "judged": len(set(rows) & set(segments)), **found.to_dict()}


def segment_metrics(
    samples: Sequence[Sample], results: Mapping[str, Mapping[str, Any]], protocol: str
) -> dict[str, Any]:
    """Return localization metrics of the union of all modalities.

    A forged clip that could not be judged counts as one without proposals: what it hides is
    missed. A genuine one has no length and is left out, as are clips of which nobody says which
    seconds are forged. `judged` of `given` tells how many have a result.
    """
    known = [(s, spans) for s in samples if (spans := _spans(s)) is not None]
    judged = [(s, spans) for s, spans in known if _status(results, s) == "ok"]
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
        missed = {str(s.path): spans for s, spans in known if spans and str(s.path) not in truth}
        truth |= {name: [list(span) for span in spans] for name, spans in missed.items()}
        rows |= {name: segment_table(None) for name in missed}
    found = localization(
        rows, truth, cast("SegmentProtocol", protocol), durations=durations, reported=reported
    )
    return {"given": len(known), "judged": len(judged), **found.to_dict()}


def _spans(sample: Sample) -> list[tuple[float, float]] | None:
    """Return the forged seconds in any modality; None: it is forged, and nobody says where."""
    spans = union([span for m in MODALITIES for span in getattr(sample, m) or ()])
    return spans if bool(spans) == sample.fake else None


def _status(results: Mapping[str, Mapping[str, Any]], sample: Sample) -> str | None:
    return results.get(str(sample.path), {}).get("status")


def union(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the spans merged where they touch, in order.

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
