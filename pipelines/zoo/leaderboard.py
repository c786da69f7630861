"""The leaderboard of the zoo's parts: their detection metrics and their cost."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from extractors.media import STEP_RATE
from pipelines.config import ConfigError, load_config
from pipelines.data.samples import Sample
from pipelines.evaluation.detection import detection_metrics
from pipelines.metrics.classification import FAILED
from pipelines.metrics.paired import paired_auc
from pipelines.results.reading import read_results, results_of
from pipelines.train.clips import TrainClip
from pipelines.train.experts import opening_logits
from pipelines.train.recipe import TrainConfig, read_samples
from pipelines.zoo.part_clips import opening_streams
from pipelines.zoo.part_run import clip_probability
from pipelines.zoo.parts import SHIPPED, PartConfig, load_part, load_part_clips, read_parts
from pipelines.zoo.step_table import Proposer, steps_precision

TIMED = 100  # steps on which a part's cost is measured
MINUTE = 60 * STEP_RATE  # steps
Row = dict[str, Any]


def evaluate_zoo(
    folder: Path,
    data: Path,
    out: Path,
    weights: Path = SHIPPED,
    against: Sequence[Path] = (),
    names: Sequence[str] = (),
) -> dict[str, Row]:
    """Return the metrics of each part on the dev clips of a recipe, by name.

    Args:
        folder: of the parts' YAML files.
        data: a training recipe (YAML), which names the clips.
        out: folder of runs, where the experts' outputs are cached.
        weights: folder of the parts' weights.
        against: results of the whole detector on the same clips (.jsonl), to compare with.
        names: of the parts; empty: all.

    Raises:
        ConfigError: a part or its weights cannot be used.
        OSError, ValueError: a manifest or a file of results cannot be read.
    """
    parts = read_parts(folder)
    recipe = load_config(TrainConfig, data)
    torch.set_num_threads(recipe.threads)
    samples = [s for s in read_samples(recipe.data) if s.split == "dev"]
    results = {name: r for path in against for name, r in read_results(path).items()}
    detector = results_of([s.path for s in samples], results)
    rows: dict[str, Row] = {}
    unknown = sorted(set(names) - set(parts))
    if unknown:
        raise ConfigError(f"{folder}: no parts {unknown}; there are {list(parts)}")
    for name in names or parts:
        part = load_part(folder / f"{name}.yaml", parts[name], weights / f"{name}.safetensors")
        clips = load_part_clips(parts[name], samples, recipe, out)
        rows[name] = measured(part, parts[name], clips, samples, detector)
    if detector:
        for modality in sorted({row["modality"] for row in rows.values()}):
            rows[f"whole, {modality}"] = whole(modality, samples, detector)
    return rows


def whole(
    modality: str, samples: Sequence[Sample], detector: Mapping[str, Mapping[str, Any]]
) -> Row:
    """Return the metrics of the whole detector's results on the same clips."""
    labelled = [s for s in samples if getattr(s, modality) is not None]
    row: Row = {"title": "the detector whose results were given", "modality": modality}
    return row | detection_metrics(labelled, detector)[column_of(modality)]


def column_of(modality: str) -> str:
    """Return the key of a modality's score in results."""
    return "score" if modality == "any" else f"{modality}_score"


@torch.inference_mode()
def measured(
    part: nn.Module,
    config: PartConfig,
    clips: Sequence[TrainClip],
    samples: Sequence[Sample],
    detector: Mapping[str, Mapping[str, Any]],
) -> Row:
    """Return a part's metrics on clips, its cost, and its comparison with the whole detector.

    Args:
        part: ready for inference.
        config: its configuration.
        clips: those of the samples that it can judge.
        samples: all samples; only those with a label of the part's modality count.
        detector: results of the whole detector by path; may be empty.
    """
    column = column_of(config.modality)
    curves = [opening_logits(part, clip, config.streams, "cpu") for clip in clips]
    scores = {
        str(clip.sample.path): clip_probability(curve)
        for clip, curve in zip(clips, curves, strict=True)
    }
    labelled = [s for s in samples if getattr(s, config.modality) is not None]
    results = {name: {column: score} for name, score in scores.items()}
    row: Row = {"title": config.title, "modality": config.modality}
    row |= detection_metrics(labelled, results)[column]
    proposed = []
    if isinstance(part, Proposer):
        proposed = [part.proposals(opening_streams(clip, config.streams)) for clip in clips]
    row |= steps_precision(clips, curves, config.modality, proposed) | cost(part, config, clips)
    shared = [s for s in labelled if detector.get(str(s.path), {}).get(column) is not None]
    if len({bool(getattr(s, config.modality)) for s in shared}) == 2:
        labels = [int(bool(getattr(s, config.modality))) for s in shared]
        own = [scores.get(str(s.path), FAILED) for s in shared]
        other = [detector[str(s.path)][column] for s in shared]
        row["comparison"] = {"given": len(shared), **paired_auc(labels, own, other)}
    return row


def cost(part: nn.Module, config: PartConfig, clips: Sequence[TrainClip]) -> Row:
    """Return a part's parameters, and its GFLOP and core seconds per minute of video.

    Of the part alone: decoding, streams, and the experts whose opinions it may read are extra.
    Seconds are CPU time, so that other load on the machine does not count.
    """
    row: Row = {"parameters": sum(p.numel() for p in part.parameters())}
    if not clips:
        return row
    longest = max(clips, key=lambda clip: clip.steps)
    inputs = longest.chunk(0, min(longest.steps, TIMED), config.streams, None)
    steps = len(next(iter(inputs.values())))
    batch = {name: stream[None] for name, stream in inputs.items()}
    with FlopCounterMode(display=False) as counter:
        part(batch)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    begin = time.process_time()
    part(batch)
    taken = time.process_time() - begin
    torch.set_num_threads(threads)
    minute = MINUTE / steps
    return row | {
        "gflops_a_minute": counter.get_total_flops() * minute / 1e9,
        "seconds_a_minute": taken * minute,
    }


def leaderboard(rows: Mapping[str, Row]) -> str:
    """Return the rows as Markdown: for each modality a table of parts and one of generators."""
    lines: list[str] = []
    for modality in ("visual", "audio", "sync", "any"):
        members = {name: row for name, row in rows.items() if row["modality"] == modality}
        if members:
            lines += ["", f"### {modality}", "", *_parts(members), "", *_generators(members)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _parts(rows: Mapping[str, Row]) -> list[str]:
    columns = (
        "part", "scored of given", "fake / real", "AUC (95 %)", "EER (95 %)",
        "mean of generators (95 %)", "beats chance", "AP@0.5", "against the whole detector",
        "parameters", "GFLOP a minute", "s a minute",
    )  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    ranked = sorted(rows.items(), key=lambda item: -item[1].get("generators_auc", 0.0))
    for name, row in ranked:
        lines.append(
            f"| {name}: {row['title']} | {row['scored']} of {row['given']} "
            f"| {row['fake']} / {row['real']} | {_interval(row, 'auc')} "
            f"| {_interval(row, 'eer_hull')} | {_interval(row, 'generators_auc')} "
            f"| {_beats_chance(row)} | {_precision(row)} | {_against(row)} "
            f"| {_count(row.get('parameters'))} "
            f"| {_number(row.get('gflops_a_minute'))} | {_number(row.get('seconds_a_minute'))} |"
        )
    return lines


def _generators(rows: Mapping[str, Row]) -> list[str]:
    """Return a table of each part's AUC by generator, the hardest generator first."""
    aucs: dict[str, dict[str, float]] = {}
    counts: dict[str, int] = {}
    for name, row in rows.items():
        for generator, entry in row.get("by_generator", {}).items():
            counts[generator] = entry["fakes"]
            if "auc" in entry:
                aucs.setdefault(generator, {})[name] = entry["auc"]
    ranked = sorted(aucs, key=lambda g: max(aucs[g].values()))
    lines = [f"| generator | fakes | {' | '.join(rows)} |", "|" + "---|" * (len(rows) + 2)]
    for generator in ranked:
        cells = [_number(aucs[generator].get(name)) for name in rows]
        title = generator.replace("|", "/")
        lines.append(f"| {title} | {counts[generator]} | {' | '.join(cells)} |")
    return lines


def _interval(row: Row, key: str) -> str:
    if key not in row:
        return "–"
    low, high = row[f"{key}_interval"]
    return f"{row[key]:.3f} ({low:.3f}–{high:.3f})"


def _beats_chance(row: Row) -> str:
    """Return whether the interval of the mean AUC over unseen generators lies above 0.5."""
    if "generators_auc_interval" not in row:
        return "–"
    low, high = row["generators_auc_interval"]
    return "yes" if low > 0.5 else "no: below it" if high < 0.5 else "no"


def _precision(row: Row) -> str:
    """Return AP of the segments of the curve, and of the part's own proposals if it has any."""
    own = f" (own proposals {_number(row['own AP@0.5'])})" if "own AP@0.5" in row else ""
    return _number(row.get("AP@0.5")) + own


def _against(row: Row) -> str:
    if "comparison" not in row:
        return "–"
    paired = row["comparison"]
    low, high = paired["difference_interval"]
    return f"{paired['verdict']}: {paired['difference']:+.3f} ({low:+.3f} to {high:+.3f})"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
