"""The tables of a model card, from the results of clips and their truth.

Each part of the card has manifests of its own, one a column: clips with picture, sound files, and
clips of which some seconds are forged. Numbers are written as the card writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipelines.data.samples import Sample
from pipelines.evaluation.detection import FEWEST, detection_metrics
from pipelines.evaluation.markdown import head, line
from pipelines.evaluation.segments import segment_metrics
from pipelines.evaluation.timelines import curve_scores, forged_steps
from pipelines.metrics.classification import auc

FEW = 8  # genuine clips below which a source is not called the worst
VERDICTS = ("fake", "real", "inconclusive")


@dataclass(frozen=True)
class Judged:
    """The clips of a manifest, and their results by path."""

    name: str  # the column's title
    samples: Sequence[Sample]
    results: Mapping[str, Mapping[str, Any]]

    def result(self, sample: Sample) -> Mapping[str, Any]:
        """Return a clip's result; empty if it has none."""
        return self.results.get(str(sample.path), {})

    def count(self, of: Callable[[Sample], bool], verdict: str = "") -> int:
        """Return how many judged clips are `of` a kind, and of a verdict if that is given."""
        verdicts = [self.result(s).get("verdict") for s in self.samples if of(s)]
        return sum(v == verdict if verdict else v is not None for v in verdicts)


def together(columns: Sequence[Judged], name: str) -> Judged:
    """Return all clips of several manifests."""
    results = {path: row for column in columns for path, row in column.results.items()}
    return Judged(name, [s for column in columns for s in column.samples], results)


def picture_tables(columns: Sequence[Judged]) -> dict[str, list[str]]:
    """Return the tables of clips with picture, by title: lines of Markdown."""
    every = together(columns, "both" if len(columns) == 2 else "all")
    shown = [*columns, every] if len(columns) > 1 else [every]
    measured = [detection_metrics(c.samples, c.results) for c in shown]
    rows = [
        ["picture: AUC", *(_rated(m["visual_score"]) for m in measured)],
        ["picture: pairs of one source", *(_paired(m["visual_score"]) for m in measured)],
        ["sound: AUC", *(_rated(m["audio_score"]) for m in measured)],
        ["any track: AUC", *(_rated(m["score"]) for m in measured)],
        ["genuine clips are called", *(_called(c, lambda s: not s.fake) for c in shown)],
        ["fakes are called", *(_called(c, lambda s: s.fake) for c in shown)],
        ["fakes of the picture are called", *(_called(c, _pictured) for c in shown)],
    ]
    read = sum(every.result(s).get("status") == "ok" for s in every.samples)
    return {
        "Clips with picture": [
            *head(["", *(c.name for c in shown)]), *map(line, rows), "",
            f"{read} of {len(every.samples)} files were judged.",
        ],
        "Generators of the picture": _by_generator(columns),
        "Sources": _by_source(every),
    }  # fmt: skip


def speech_tables(columns: Sequence[Judged]) -> dict[str, list[str]]:
    """Return the tables of sound files, by title: lines of Markdown."""
    measured = [detection_metrics(c.samples, c.results)["audio_score"] for c in columns]
    rows = [
        ["AUC", *map(_rated, measured)],
        ["pairs of one source", *map(_paired, measured)],
        ["genuine called fake", *(_share(c, lambda s: not s.fake) for c in columns)],
        ["fakes called fake", *(_share(c, lambda s: s.fake) for c in columns)],
        [f"worst source with {FEW} genuine clips or more", *map(_worst_source, columns)],
    ]
    systems = []
    for column, metrics in zip(columns, measured, strict=True):
        for name, row in reversed(metrics.get("by_generator", {}).items()):
            if "auc" in row:
                systems.append([name, column.name, row["fakes"], f"{row['auc']:.2f}"])
    titles = ["system", "recordings", "fakes", "AUC against all genuine recordings"]
    return {
        "Speech": [*head(["", *(c.name for c in columns)]), *map(line, rows)],
        "Systems of speech": [*head(titles), *map(line, systems)],
    }


def partial_tables(columns: Sequence[Judged]) -> dict[str, list[str]]:
    """Return the tables of clips of which some seconds are forged, by title: lines of Markdown."""
    titles = ["", "clips", "step AUC within a clip", "AP@0.5", "AP@0.75", "AP@0.95", "AR@20"]
    tables = {}
    for column in columns:
        methods = sorted({s.method for s in column.samples if s.fake})
        rows = [_partial_row(column, name, lambda s, name=name: s.method == name)  # type: ignore[misc]
                for name in methods]  # fmt: skip
        rows.append(_partial_row(column, "all", lambda s: True))
        tables[f"Partial forgeries: {column.name}"] = [
            *head(titles), *map(line, rows), "", _reports(column),
        ]  # fmt: skip
    return tables


def _pictured(sample: Sample) -> bool:
    return bool(sample.visual)


def _rated(row: Mapping[str, Any]) -> str:
    """Return an AUC with its interval and counts; counts alone where there is none."""
    scored = f"{row['scored']} of {row['given']}"
    if "auc" not in row:
        return f"– ({scored})"
    low, high = row["auc_interval"]
    counts = f"{row['fake']} / {row['real']}, {scored} scored"
    return f"{row['auc']:.2f} ({low:.2f}–{high:.2f}); {counts}"


def _paired(row: Mapping[str, Any]) -> str:
    """Return the AUC among pairs of one source, and of how many pairs and sources it is."""
    sources = row.get("by_source", {})
    if not sources:
        return "–"
    pairs = sum(source["fakes"] * source["reals"] for source in sources.values())
    return f"{row['within_sources_auc']:.2f}; {pairs} pairs, {len(sources)} sources"


def _called(judged: Judged, of: Callable[[Sample], bool]) -> str:
    fake, real, neither = (judged.count(of, verdict) for verdict in VERDICTS)
    return f"{fake} of {judged.count(of)} fake, {real} real, {neither} inconclusive"


def _share(judged: Judged, of: Callable[[Sample], bool]) -> str:
    return f"{judged.count(of, 'fake')} of {judged.count(of)}"


def _by_generator(columns: Sequence[Judged]) -> list[str]:
    """Return each generator's fakes, against all genuine pictures; the hardest first."""
    named = [
        replace(c, samples=[replace(s, method=f"{s.method} ({c.name})") for s in c.samples])
        for c in columns
    ]
    every = together(named, "")
    found = detection_metrics(every.samples, every.results)["visual_score"].get("by_generator", {})
    rows, few = [], []
    for name, row in found.items():
        if "auc" not in row:
            few.append(name)
            continue
        called = every.count(lambda s, name=name: _pictured(s) and s.method == name, "fake")  # type: ignore[misc]
        rows.append([name, row["fakes"], f"{row['auc']:.2f}", called])
    titles = ["generator", "fakes", "AUC against all genuine pictures", "called fake"]
    rest = [f"Fewer than {FEWEST}: {', '.join(few)}."] if few else []
    return [*head(titles), *map(line, rows), "", *rest]


def _by_source(every: Judged) -> list[str]:
    visual = detection_metrics(every.samples, every.results)["visual_score"]
    rows = []
    for source in sorted({s.source for s in every.samples}):
        own = replace(every, samples=[s for s in every.samples if s.source == source])
        pairs = visual.get("by_source", {}).get(source)
        rows.append([
            source, _share(own, lambda s: not s.fake), _share(own, lambda s: s.fake),
            f"{pairs['auc']:.2f} ({pairs['fakes'] * pairs['reals']} pairs)" if pairs else "–",
        ])  # fmt: skip
    titles = [
        "source", "genuine: called fake", "fakes: called fake", "picture within the source",
    ]  # fmt: skip
    return [*head(titles), *map(line, rows)]


def _worst_source(judged: Judged) -> str:
    """Return how many genuine clips of the source with the largest share are called fake."""
    counts = []
    for source in {s.source for s in judged.samples}:
        own = replace(judged, samples=[s for s in judged.samples if s.source == source])
        of, fake = own.count(lambda s: not s.fake), own.count(lambda s: not s.fake, "fake")
        if of >= FEW:
            counts.append((fake / of, fake, of, source))
    if not counts:
        return "–"
    _, fake, of, source = max(counts)
    return f"{fake} of {of} ({source})"


def _partial_row(judged: Judged, name: str, of: Callable[[Sample], bool]) -> list[object]:
    forged = [s for s in judged.samples if s.fake and of(s)]
    genuine = [s for s in judged.samples if not s.fake]
    found = segment_metrics([*forged, *genuine], judged.results, "avdetect")
    steps = [area for s in forged if (area := _step_auc(s, judged.result(s))) is not None]
    low, high = found.get("AP@0.5_interval", (np.nan, np.nan))
    return [
        name, len(forged), f"{np.mean(steps):.2f}" if steps else "–",
        f"{found['AP@0.5']:.2f} ({low:.2f}–{high:.2f})",
        *(f"{found[key]:.2f}" for key in ("AP@0.75", "AP@0.95", "AR@20")),
    ]  # fmt: skip


def _step_auc(sample: Sample, result: Mapping[str, Any]) -> float | None:
    """Return how well a clip's forged steps stand out of its others; None: it has not both."""
    timeline = result.get("timeline")
    if timeline is None or not len(timeline):
        return None
    mask, scores = forged_steps(sample, len(timeline), 0), curve_scores(timeline, 0)
    if mask is None or not 0 < mask.sum() < len(mask):
        return None
    return float(auc(mask.astype(float), scores))


def _reports(judged: Judged) -> str:
    """Return a sentence on the segments that are reported, true and false."""
    reported = met = stretches = false = 0
    seconds = 0.0
    for sample in judged.samples:
        result = judged.result(sample)
        spans = [(s["start"], s["end"]) for s in result.get("segments") or ()]
        if not sample.fake:
            false += len(spans)
            seconds += (result.get("media") or {}).get("duration") or 0.0
            continue
        reported += len(spans)
        for start, end in sample.any or ():
            stretches += 1
            met += any(begin < end and stop > start for begin, stop in spans)
    return (
        f"{met} of the {stretches} forged stretches overlap with one of {reported} reports; on "
        f"genuine clips {false} segments are reported in {seconds / 60:.1f} minutes."
    )
