"""Predictions and truth in, metrics out: how well a detector does, and on how many files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.data.samples import Sample, Splits, read_forged, read_manifest, read_splits
from pipelines.detection.session import DetectorSession, WeightsSpec
from pipelines.evaluation.audit import audit
from pipelines.evaluation.comparison import compare
from pipelines.evaluation.detection import abstention, detection_metrics
from pipelines.evaluation.fairness import fairness
from pipelines.evaluation.frames import frame_metrics, frames_of, pooled_results, read_frame_scores
from pipelines.evaluation.plots import write_plots, write_timelines
from pipelines.evaluation.segments import segment_file_metrics, segment_metrics
from pipelines.evaluation.tables import report, summary
from pipelines.evaluation.timelines import aupimo_metrics
from pipelines.metrics.security import great_score
from pipelines.progress import OnStep
from pipelines.results.reading import Row, is_results, models, read_results, results_of
from pipelines.stress.probe import Probing, probe
from pipelines.stress.sweep import Perturbing, chosen_clips, judge_perturbed, robustness, work_ahead

OnPlan = Callable[[str], None]
PERTURBED = "perturbed.jsonl"  # the results of perturbed clips, in the folder of the report


def evaluate_files(
    predictions: Path,
    truth: Path,
    protocol: str = "avdetect",
    out: Path | None = None,
    splits: Path | None = None,
    fps: float | None = None,
    against: Path | None = None,
    audited: bool = False,
    command: str | None = None,
    *,
    timelines: bool = False,
    pool: str = "deepfakebench",
    perturbing: Perturbing | None = None,
    probing: Probing = Probing(),
    model: WeightsSpec = WeightsSpec(),
    on_step: OnStep = lambda done, total: None,
    on_plan: OnPlan = lambda words: None,
) -> dict[str, Any]:
    """Return all metrics of results against their truth.

    Files of proposed segments and metadata of other projects are taken as they are; from such
    only the metrics of the segments come.

    Args:
        predictions: what `avdetect detect --json` or `avdetect scan --out` wrote (.jsonl,
            .parquet or a folder), others' proposed segments (.json), or scores of frames (.csv).
        truth: a manifest (.csv), a forging's metadata (.json), or others' (.json, .txt).
        protocol: of the segments: avdetect, lavdf, av1m, activitynet or forgerynet.
        out: a folder that report.json (in short), metrics.json (all), report.md and plots are
            written to.
        splits: a list of sources, as training reads it: only the clips of dev are looked at.
        fps: frames a second of others' files that count in frames: LAV-DF's proposals and
            ForgeryNet's truth.
        against: another detector's results on the same files, to be compared clip by clip.
        audited: also read the clips and measure how far container and levels alone get; with
            `splits`, fitted on the clips of train too.
        command: that led here, for the report.
        timelines: also measure along time (temporal AUPIMO) and draw examples; takes memory with
            the clips' length.
        pool: the rule by which scores of frames become one of their video.
        perturbing: also perturb the clips and judge them again; needs `out`, where the perturbed
            results are kept.
        probing: also probe the model on so many clips (see `pipelines.stress.probe`).
        model: judges the perturbed clips and is probed; the results must be its own.
        on_step: told how many clips are perturbed or probed, and of how many.
        on_plan: told what perturbing will take, in a sentence, before it begins.

    Raises:
        OSError: a file cannot be read.
        ValueError: the files do not fit each other.
    """
    metrics: dict[str, Any] = {"predictions": str(predictions), "truth": str(truth)}
    metrics["command"] = command
    samples: list[Sample] = []
    results: dict[str, Row] = {}
    more = bool(against or audited or timelines or perturbing or probing)
    if is_results(predictions) and _is_ours(truth):
        samples = read_truth(truth, splits)
        paths = [sample.path for sample in samples]
        results = results_of(paths, read_results(predictions, timelines))
        metrics |= clip_metrics(samples, results, protocol)
        if timelines:
            metrics["aupimo"] = aupimo_metrics(samples, results)
        if against is not None:
            others = results_of(paths, read_results(against))
            metrics["comparison"] = compare(samples, results, others)
            metrics["comparison"]["against"] = str(against)
        if audited:
            known = read_manifest(truth, read_splits(splits)) if splits is not None else []
            train = [sample for sample in known if sample.split == "train"]
            metrics["audit"] = audit(samples, train, metrics["detection"]["score"].get("auc"))
        if perturbing is not None or probing:
            session = _own_session(results, model)
            if out is not None:
                out.mkdir(parents=True, exist_ok=True)
            if perturbing is not None:
                rows = _perturbed(samples, results, perturbing, session, out, on_step, on_plan)
                metrics["robustness"] = rows
            metrics |= probe(samples, session, probing, out, on_step)
    elif predictions.suffix == ".csv" and _is_ours(truth) and not more:
        samples = read_truth(truth, splits)
        frames = frames_of(samples, read_frame_scores(predictions))
        results = pooled_results(frames, pool)
        metrics |= clip_metrics(samples, results, protocol)
        metrics["frames"] = frame_metrics(samples, frames, pool)
    elif more:
        raise ValueError(
            "comparing, auditing, timelines, perturbing and probing need results and a manifest"
        )
    else:
        metrics["detection"] = {}
        metrics["localization"] = segment_file_metrics(predictions, truth, protocol, fps)
    if out is not None:
        _write(metrics, samples, results, out)
    return metrics


def _perturbed(
    samples: Sequence[Sample],
    results: Mapping[str, Row],
    perturbing: Perturbing,
    session: DetectorSession,
    out: Path | None,
    on_step: OnStep,
    on_plan: OnPlan,
) -> dict[str, Any]:
    """Return how much worse the model that made the results is on perturbed clips."""
    if out is None:
        raise ValueError("perturbing needs --out, where the perturbed results are kept")
    chosen, kept = chosen_clips(samples, perturbing.clips), out / PERTURBED
    on_plan(work_ahead(chosen, results, perturbing, kept, session.model))
    return robustness(chosen, results, judge_perturbed(chosen, session, perturbing, kept, on_step))


def _own_session(results: Mapping[str, Row], model: WeightsSpec) -> DetectorSession:
    """Return the loaded model, which must be the one that made the results."""
    session = model.load()
    if [made["sha256"] for made in models(results)] != [session.model["sha256"]]:
        raise ValueError(
            f"the results were not made by {session.model['name']}, which is to judge the clips "
            "again; name the weights that made them with --weights"
        )
    return session


def clip_metrics(
    samples: Sequence[Sample], results: Mapping[str, Row], protocol: str
) -> dict[str, Any]:
    """Return what results alone tell: of clips, segments and, where the truth has any, groups."""
    metrics = {
        "models": models(results),
        "detection": detection_metrics(samples, results),
        "abstention": abstention(samples, results),
        "localization": segment_metrics(samples, results, protocol),
    }
    scored = [(s.fake, score) for s in samples if (score := _score(results, s)) is not None]
    if scored:
        fakes, scores = zip(*scored, strict=True)
        metrics["great"] = asdict(great_score(fakes, scores))
    if any(sample.groups for sample in samples):
        metrics["fairness"] = fairness(samples, results)
    return metrics


def _score(results: Mapping[str, Row], sample: Sample) -> float | None:
    return results.get(str(sample.path), {}).get("score")


def _write(
    metrics: dict[str, Any], samples: Sequence[Sample], results: Mapping[str, Row], out: Path
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2))
    (out / "report.json").write_text(json.dumps(summary(metrics), indent=2))
    plots = write_plots(metrics, out)
    if "aupimo" in metrics:
        plots += write_timelines(samples, results, out)
    (out / "report.md").write_text(report(metrics, [path.name for path in plots]))


def _is_ours(truth: Path) -> bool:
    """Return whether the truth is a manifest or a forging's metadata, which name the person."""
    if truth.suffix != ".json":
        return truth.suffix != ".txt"
    data = json.loads(truth.read_text(encoding="utf-8"))
    return isinstance(data, list) and all("person" in entry for entry in data)


def read_truth(path: Path, splits: Path | None = None) -> list[Sample]:
    """Return the samples of a manifest (.csv), or its dev clips, or of a forging's metadata."""
    if path.suffix == ".json":
        return read_forged(path)
    if splits is None:
        return read_manifest(path, Splits())
    return [s for s in read_manifest(path, read_splits(splits)) if s.split == "dev"]
