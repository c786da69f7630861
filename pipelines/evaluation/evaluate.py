"""Evaluation of a detector: metrics of predictions against their truth, written as a report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from extractors.errors import InputError
from pipelines.data.samples import Sample, read_manifest, read_splits
from pipelines.data.truth import read_truth
from pipelines.detection.session import DetectorSession, WeightsSpec
from pipelines.evaluation.audit import audit
from pipelines.evaluation.comparison import compare
from pipelines.evaluation.detection import abstention, detection_metrics
from pipelines.evaluation.fairness import fairness
from pipelines.evaluation.frames import frame_metrics, frames_of, pooled_results, read_frame_scores
from pipelines.evaluation.plots import write_plots, write_timelines
from pipelines.evaluation.segments import (
    FRAME_RATE,
    check_names,
    segment_file_metrics,
    segment_metrics,
)
from pipelines.evaluation.tables import report, summary
from pipelines.evaluation.timelines import aupimo_metrics
from pipelines.metrics.security import great_score
from pipelines.progress import OnStep
from pipelines.results.reading import Row, is_results, models, read_results, results_of
from pipelines.storage.tables import TABLES, Columns
from pipelines.stress.probe import Probing, probe
from pipelines.stress.sweep import Perturbing, chosen_clips, judge_perturbed, robustness, work_ahead

OnPlan = Callable[[str], None]
PERTURBED = "perturbed.jsonl"  # the results of perturbed clips, in the folder of the report


@dataclass(frozen=True)
class EvaluateConfig:
    """Which metrics are computed, and by which rules."""

    protocol: str = "avdetect"  # of the segments: or lavdf, av1m, activitynet, forgerynet
    fps: float | None = None  # frame rate of others' files that count in frames
    pool: str = "deepfakebench"  # the rule that pools frame scores into a video's score
    columns: Columns = field(default_factory=dict)  # what others' tables call our columns
    splits: Path | None = None  # a list of sources: only the clips of dev are evaluated
    against: Path | None = None  # another detector's results, to be compared clip by clip
    audited: bool = False  # also measure how far container and levels alone get
    timelines: bool = False  # also measure along time (temporal AUPIMO) and draw examples
    perturbing: Perturbing | None = None  # also perturb the clips and judge them again
    probing: Probing = field(default_factory=Probing)  # also probe the model on a number of clips
    model: WeightsSpec = field(default_factory=WeightsSpec)  # made the results; to be run again
    out: Path | None = None  # folder of report.json (short), metrics.json, report.md and plots
    command: str | None = None  # the command line, for the report

    @property
    def needs_results(self) -> bool:
        """Whether the configuration asks for something that only results of clips can give."""
        more = self.against, self.audited, self.timelines, self.perturbing, self.probing
        return any(map(bool, more))


@dataclass(frozen=True)
class Evaluation:
    """Metrics, and the samples and results that the plots need."""

    metrics: dict[str, Any]
    samples: Sequence[Sample] = ()
    results: Mapping[str, Row] = field(default_factory=dict)


def evaluate(
    predictions: Path,
    truth: Path,
    config: EvaluateConfig = EvaluateConfig(),
    on_step: OnStep = lambda done, total: None,
    on_plan: OnPlan = lambda words: None,
) -> dict[str, Any]:
    """Return all metrics of predictions against their truth; write them to `config.out` if set.

    Args:
        predictions: results of clips (.jsonl, .parquet, the folder of a scan, a .csv or .tsv with
            `path` and `score`), scores of frames (.csv, .tsv), or others' proposed segments
            (.json), which give localization metrics only.
        truth: a manifest, or the metadata of a forging or a data set (see `read_truth`).
        config: what is measured.
        on_step: called with the number of clips perturbed or probed and the total.
        on_plan: called with a sentence on the cost of perturbing before it begins.

    Raises:
        InputError: a file's format is unknown, or the files do not match each other.
        OSError: a file cannot be read.
    """
    if is_results(predictions, config.columns):
        evaluation = evaluate_clips(predictions, truth, config, on_step, on_plan)
    elif config.needs_results:
        raise InputError(
            f"{predictions}: comparing, auditing, timelines, perturbing and probing need results "
            "and a manifest"
        )
    elif predictions.suffix.lower() in (".csv", ".tsv"):
        evaluation = evaluate_frames(predictions, truth, config)
    else:
        evaluation = evaluate_segments(predictions, truth, config)
    origin = {"predictions": str(predictions), "truth": str(truth), "command": config.command}
    metrics = origin | evaluation.metrics
    if config.out is not None:
        _write(metrics, evaluation, config.out)
    return metrics


def evaluate_clips(
    predictions: Path,
    truth: Path,
    config: EvaluateConfig,
    on_step: OnStep = lambda done, total: None,
    on_plan: OnPlan = lambda words: None,
) -> Evaluation:
    """Return detection and localization metrics of results, and what else the config asks for."""
    samples = read_truth(truth, config.splits, config.columns, config.fps or FRAME_RATE)
    paths = [sample.path for sample in samples]
    read = read_results(predictions, config.timelines, config.columns)
    if not read:
        raise InputError(f"{predictions}: holds no result")
    results = results_of(paths, read)
    if not results:
        check_names(predictions, read, truth, list(map(str, paths)))
    metrics = clip_metrics(samples, results, config.protocol)
    metrics["unmatched"] = len(read) - len(results)
    if config.timelines:
        metrics["aupimo"] = aupimo_metrics(samples, results)
    if config.against is not None:
        others = results_of(paths, read_results(config.against, columns=config.columns))
        metrics["comparison"] = compare(samples, results, others)
        metrics["comparison"]["against"] = str(config.against)
    if config.audited:
        train = _train_clips(truth, config)
        metrics["audit"] = audit(samples, train, metrics["detection"]["score"].get("auc"))
    if config.perturbing is not None or config.probing:
        metrics |= _stressed(samples, results, config, on_step, on_plan)
    return Evaluation(metrics, samples, results)


def evaluate_frames(predictions: Path, truth: Path, config: EvaluateConfig) -> Evaluation:
    """Return metrics of frame scores, over frames and pooled over videos."""
    samples = read_truth(truth, config.splits, config.columns, config.fps or FRAME_RATE)
    read = read_frame_scores(predictions, config.columns)
    frames = frames_of(samples, read)
    if not frames:
        check_names(predictions, read, truth, [str(sample.path) for sample in samples])
    results = pooled_results(frames, config.pool)
    metrics = clip_metrics(samples, results, config.protocol)
    metrics["unmatched"] = len(read) - len(frames)
    metrics["frames"] = frame_metrics(samples, frames, config.pool)
    return Evaluation(metrics, samples, results)


def evaluate_segments(predictions: Path, truth: Path, config: EvaluateConfig) -> Evaluation:
    """Return localization metrics of others' proposed segments."""
    place = segment_file_metrics(
        predictions, truth, config.protocol, config.fps, config.splits, config.columns,
        intervals=True,
    )  # fmt: skip
    return Evaluation({"detection": {}, "localization": place})


def _train_clips(truth: Path, config: EvaluateConfig) -> list[Sample]:
    """Return the clips of the split train, to fit an audit on; none without splits."""
    if config.splits is None or truth.suffix.lower() not in TABLES:
        return []
    samples = read_manifest(truth, read_splits(config.splits), config.columns)
    return [sample for sample in samples if sample.split == "train"]


def _stressed(
    samples: Sequence[Sample],
    results: Mapping[str, Row],
    config: EvaluateConfig,
    on_step: OnStep,
    on_plan: OnPlan,
) -> dict[str, Any]:
    """Return metrics of the model on perturbed clips and under probes, as the config asks."""
    metrics: dict[str, Any] = {}
    session = _own_session(results, config.model)
    if config.out is not None:
        config.out.mkdir(parents=True, exist_ok=True)
    if config.perturbing is not None:
        metrics["robustness"] = _perturbed(
            samples, results, config.perturbing, session, config.out, on_step, on_plan
        )
    return metrics | probe(samples, session, config.probing, config.out, on_step)


def _perturbed(
    samples: Sequence[Sample],
    results: Mapping[str, Row],
    perturbing: Perturbing,
    session: DetectorSession,
    out: Path | None,
    on_step: OnStep,
    on_plan: OnPlan,
) -> dict[str, Any]:
    """Return the robustness metrics: how scores and AUC change on perturbed clips."""
    if out is None:
        raise InputError("perturbing needs --out, where the perturbed results are kept")
    chosen, kept = chosen_clips(samples, perturbing.clips), out / PERTURBED
    on_plan(work_ahead(chosen, results, perturbing, kept, session.model))
    return robustness(chosen, results, judge_perturbed(chosen, session, perturbing, kept, on_step))


def _own_session(results: Mapping[str, Row], model: WeightsSpec) -> DetectorSession:
    """Return the loaded model, which must be the one that made the results."""
    session = model.load()
    if [made["sha256"] for made in models(results)] != [session.model["sha256"]]:
        raise InputError(
            f"the results were not made by {session.model['name']}, which is to judge the clips "
            "again; name the weights that made them with --weights"
        )
    return session


def clip_metrics(
    samples: Sequence[Sample], results: Mapping[str, Row], protocol: str
) -> dict[str, Any]:
    """Return the metrics that need results alone; fairness where the truth has groups."""
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


def _write(metrics: dict[str, Any], evaluation: Evaluation, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2))
    (out / "report.json").write_text(json.dumps(summary(metrics), indent=2))
    plots = write_plots(metrics, out)
    if "aupimo" in metrics:
        plots += write_timelines(evaluation.samples, evaluation.results, out)
    (out / "report.md").write_text(report(metrics, [path.name for path in plots]))
