"""Predictions and truth in, metrics out: how well a detector does, and on how many files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from pipelines.datasets import (
    Sample,
    Splits,
    read_audio_manifest,
    read_forged,
    read_splits,
    read_video_manifest,
)
from pipelines.localization_files import matched, read_proposals, read_segments
from pipelines.localization_metrics import Protocol, localization
from pipelines.metrics import (
    auc,
    balanced_accuracy,
    bootstrap_interval,
    brier,
    eer,
    expected_calibration_error,
)
from temporal.localization import MODALITIES

FAILED = 0.5  # the score that a file without one counts with in the second AUC
FEWEST = 3  # fakes of a generator below which its AUC says nothing


def evaluate_files(
    predictions: Path,
    truth: Path,
    protocol: str = "avdetect",
    out: Path | None = None,
    splits: Path | None = None,
    fps: float | None = None,
) -> dict[str, Any]:
    """Return all metrics of a file of results, one JSON object a line, against their truth.

    Files of proposed segments and metadata of other projects are taken as they are; from such
    only the metrics of the segments come.

    Args:
        predictions: what `avdetect detect --json` wrote, or others' proposed segments (.json).
        truth: a manifest (.csv), a forging's metadata (.json), or others' (.json, .txt).
        protocol: of the segments: avdetect, lavdf, av1m, activitynet or forgerynet.
        out: a folder that metrics.json and report.md are written to.
        splits: a list of sources, as training reads it: only the clips of dev are looked at.
        fps: frames a second of others' files that count in frames: LAV-DF's proposals and
            ForgeryNet's truth.

    Raises:
        OSError: a file cannot be read.
        ValueError: the files do not fit each other.
    """
    metrics: dict[str, Any] = {"predictions": str(predictions), "truth": str(truth)}
    if predictions.suffix == ".jsonl" and _is_ours(truth):
        results = read_results(predictions)
        samples = read_truth(truth, splits)
        metrics["detection"] = detection_metrics(samples, results)
        metrics["localization"] = segment_metrics(samples, results, protocol)
    else:
        metrics["detection"] = {}
        metrics["localization"] = segment_file_metrics(predictions, truth, protocol, fps)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "metrics.json").write_text(json.dumps(metrics, indent=2))
        (out / "report.md").write_text(report(metrics))
    return metrics


def _is_ours(truth: Path) -> bool:
    """Return whether the truth is a manifest or a forging's metadata, which name the person."""
    if truth.suffix != ".json":
        return truth.suffix != ".txt"
    data = json.loads(truth.read_text(encoding="utf-8"))
    return isinstance(data, list) and all("person" in entry for entry in data)


def segment_file_metrics(
    predictions: Path, truth: Path, protocol: str, fps: float | None = None
) -> dict[str, Any]:
    """Return localization metrics of files of segments, whoever's they are."""
    segments, lengths = read_segments(truth, fps or 25.0)
    rows = matched(read_proposals(predictions), segments)
    found = localization(
        rows, segments, cast("Protocol", protocol), durations=lengths or None,
        fps=1.0 if fps is None or truth.suffix == ".txt" else fps,
    )  # fmt: skip
    return {"given": len(segments), "judged": len(set(rows) & set(segments)), **found.to_dict()}


def read_results(path: Path) -> dict[str, dict[str, Any]]:
    """Return results by file name, of a file of JSON objects, one a line.

    Raises:
        ValueError: a line is no result, or two are of files with one name.
    """
    results: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            result = json.loads(line)
            name = Path(result["path"]).name
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: line {number} is no result: {error!r}") from error
        if name in results:
            raise ValueError(f"{path}: line {number}: a second result for {name}")
        results[name] = result
    return results


def read_truth(path: Path, splits: Path | None = None) -> list[Sample]:
    """Return the samples of a manifest (.csv), or its dev clips, or of a forging's metadata."""
    if path.suffix == ".json":
        return read_forged(path)
    with path.open(encoding="utf-8") as file:
        columns = file.readline()
    read = read_video_manifest if "modality" in columns else read_audio_manifest
    if splits is None:
        return read(path, Splits())
    return [sample for sample in read(path, read_splits(splits)) if sample.split == "dev"]


def detection_metrics(
    samples: Sequence[Sample], results: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return metrics of each score: all fakes, and the fakes of each generator, against the real.

    A modality's score is judged on the files whose truth of it is known: a clip whose sound alone
    is synthetic says nothing about the score of the picture but that it should be low.
    """
    metrics: dict[str, Any] = {}
    for column, truth_of in _truths().items():
        known = [(s, truth) for s in samples if (truth := truth_of(s)) is not None]
        scores = [results.get(s.path.name, {}).get(column) for s, _ in known]
        metrics[column] = _score_metrics(known, scores, column)
    return metrics


def _truths() -> dict[str, Callable[[Sample], bool | None]]:
    def of(modality: str) -> Callable[[Sample], bool | None]:
        def truth(sample: Sample) -> bool | None:
            spans = getattr(sample, modality)
            return None if spans is None else bool(spans)

        return truth

    return {"score": lambda sample: sample.fake, **{f"{m}_score": of(m) for m in MODALITIES}}


def _score_metrics(
    known: Sequence[tuple[Sample, bool]], scores: Sequence[float | None], column: str
) -> dict[str, Any]:
    given = [
        (sample.method, fake, score)
        for (sample, fake), score in zip(known, scores, strict=True)
        if score is not None
    ]
    labels = np.array([int(fake) for _, fake, _ in given])
    values = np.array([score for _, _, score in given])
    row: dict[str, Any] = {"given": len(known), "scored": len(given)}
    row |= {"fake": int(labels.sum()), "real": int(len(labels) - labels.sum())}
    if not 0 < labels.sum() < len(labels):
        return row | {"note": "needs scored files of both classes"}
    everyone = [int(fake) for _, fake in known]
    imputed = [FAILED if score is None else score for score in scores]
    row |= {
        "auc": auc(labels, values),
        "auc_interval": bootstrap_interval(auc, labels, values),
        "auc_failures_as_half": auc(everyone, imputed),
        "eer_hull": eer(labels, values),
        "balanced_accuracy": balanced_accuracy(labels, values),
        "brier": brier(labels, values),
        "ece": expected_calibration_error(labels, values),
        "by_generator": {},
    }
    for method in sorted({method for method, fake, _ in given if fake}):
        mine = np.array([fake == 0 or m == method for m, fake, _ in given])
        count = int(labels[mine].sum())
        entry: dict[str, Any] = {"fakes": count}
        if count >= FEWEST:
            entry["auc"] = auc(labels[mine], values[mine])
            entry["auc_interval"] = bootstrap_interval(auc, labels[mine], values[mine])
        row["by_generator"][method] = entry
    row["by_generator"] = dict(
        sorted(row["by_generator"].items(), key=lambda item: item[1].get("auc", 2.0))
    )
    return row


def segment_metrics(
    samples: Sequence[Sample], results: Mapping[str, Mapping[str, Any]], protocol: str
) -> dict[str, Any]:
    """Return localization metrics of the union of all modalities, on files with partial truth."""
    judged = [s for s in samples if results.get(s.path.name, {}).get("status") == "ok"]
    truth: dict[str, list[list[float]]] = {}
    rows: dict[str, list[list[float]]] = {}
    durations: dict[str, float] = {}
    for sample in judged:
        name = sample.path.name
        result = results[name]
        length = float(result["media"]["duration"])
        spans = [span for m in MODALITIES for span in getattr(sample, m) or ()]
        truth[name] = [[s, min(e, length)] for s, e in union(spans)]
        rows[name] = [[s["score"], s["start"], s["end"]] for s in result["segments"]]
        durations[name] = length
    found = localization(rows, truth, cast("Protocol", protocol), durations=durations)
    return {"given": len(samples), "judged": len(judged), **found.to_dict()}


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


def report(metrics: Mapping[str, Any]) -> str:
    """Return the metrics as Markdown tables."""
    lines = ["| score | scored of given | fake / real | AUC (95 % interval) | EER | ECE |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for name, row in metrics["detection"].items():
        cells = [name, f"{row['scored']} of {row['given']}", f"{row['fake']} / {row['real']}"]
        cells += _auc_cells(row)
        lines.append(f"| {' | '.join(cells)} |")
    for name, row in metrics["detection"].items():
        if not row.get("by_generator"):
            continue
        lines += ["", f"{name} by generator, against all genuine files:", "",
                  "| generator | fakes | AUC (95 % interval) |", "|---|---|---|"]  # fmt: skip
        for method, entry in row["by_generator"].items():
            cell = "too few" if "auc" not in entry else _with_interval(entry)
            lines.append(f"| {method.replace('|', '/')} | {entry['fakes']} | {cell} |")
    place = metrics["localization"]
    lines += ["", "| segments | value |", "|---|---|"]
    lines += [
        f"| {key} | {f'{value:.3f}' if isinstance(value, float) else value} |"
        for key, value in place.items()
    ]
    return "\n".join(lines) + "\n"


def _auc_cells(row: Mapping[str, Any]) -> list[str]:
    if "auc" not in row:
        return ["–", "–", "–"]
    return [_with_interval(row), f"{row['eer_hull']:.3f}", f"{row['ece']:.3f}"]


def _with_interval(row: Mapping[str, Any]) -> str:
    low, high = row["auc_interval"]
    return f"{row['auc']:.3f} ({low:.3f}–{high:.3f})"
