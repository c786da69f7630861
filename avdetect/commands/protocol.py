"""`avdetect protocol`: measure results by a published protocol of evaluation."""

from __future__ import annotations

import argparse
import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avdetect.commands.options import OK, UsageError, add_columns, columns_of

if TYPE_CHECKING:
    from extractors.clip import Doubles
    from pipelines.data.samples import Sample
    from pipelines.results.reading import Row

    Protocols = argparse._SubParsersAction[ArgumentParser]

HELP = "measure results by a published protocol of evaluation"
DESCRIPTION = (
    "Which clips are compared, and what is told of them, by the rules of DeepfakeBench "
    "(cross-set), DF40 (one-vs-all), FineFake (fine-labels), VCT² (quality) or T2VSafetyBench "
    "(aspects)."
)


def add_arguments(verb: ArgumentParser) -> None:
    """Add a command for each protocol."""
    own = verb.add_subparsers(title="protocols", dest="protocol", metavar="PROTOCOL", required=True)
    crossed = _added(own, "cross-set", "a detector on its own data set and on those it never saw")
    crossed.add_argument(
        "--within", default="FaceForensics++", metavar="SET",
        help="the domain it was trained on (default FaceForensics++)",
    )  # fmt: skip
    one = own.add_parser("one-vs-all", help="detectors of one method each, on every other method")
    one.add_argument(
        "results",
        nargs="+",
        metavar="METHOD=RESULTS",
        help="the method that made them, and results",
    )
    _add_truth(one)
    fine = _added(own, "fine-labels", "which track is forged, platform by platform")
    fine.add_argument(
        "--left-out", nargs="+", default=[], metavar="PLATFORM=RESULTS",
        help="results of detectors that each learned from all platforms but this",
    )  # fmt: skip
    quality = _added(own, "quality", "AUC by the visual quality of the fakes; reads the clips")
    aspects = _added(own, "aspects", "recall by what the clips show (the manifest's `aspect`)")
    aspects.add_argument(
        "--raters", type=Path, metavar="TABLE",
        help="answers of 0 to 100 in the columns automatic and manual: how far do they agree?",
    )  # fmt: skip
    aspects.add_argument(
        "--coherence",
        action="store_true",
        help="also read the clips: how coherent are they in time?",
    )
    for command in (crossed, aspects):
        command.add_argument(
            "--frames", type=Path, metavar="TABLE",
            help="scores of frames too (.csv; score, and video or frame)",
        )  # fmt: skip
    for command in (quality, aspects):
        command.add_argument(
            "--kept", type=Path, metavar="FILE", help="keep what is read here, to resume from"
        )


def _added(own: Protocols, name: str, words: str) -> ArgumentParser:
    command = own.add_parser(name, help=words)
    command.add_argument(
        "results", type=Path, metavar="RESULTS", help="what `detect --json` or `scan` wrote, or a "
        "table of path and score"
    )  # fmt: skip
    _add_truth(command)
    return command


def _add_truth(command: ArgumentParser) -> None:
    command.add_argument(
        "--truth", type=Path, required=True, metavar="MANIFEST",
        help="labels of the clips, with domain, method, forgery_type or aspect",
    )  # fmt: skip
    add_columns(command)
    command.add_argument(
        "--json", metavar="FILE", help="write all numbers here; - prints them instead of the table"
    )


def run(options: Namespace) -> int:
    """Measure by the protocol, and print its table."""
    from rich.console import Console

    from avdetect.terminal.output import json_lines
    from avdetect.terminal.tables import printable

    with json_lines(None if options.json == "-" else options.json) as write:
        metrics, table = PROTOCOLS[options.protocol](options)
        write(metrics)
    if options.json == "-":
        print(json.dumps(metrics, indent=2))
    else:
        console = Console(highlight=False, soft_wrap=True, markup=False)
        console.print("\n".join(map(printable, table)))
    return OK


def _samples(options: Namespace) -> list[Sample]:
    from pipelines.data.truth import read_truth

    return read_truth(options.truth, columns=columns_of(options))


def _results(path: Path, samples: list[Sample], options: Namespace) -> Mapping[str, Row]:
    from extractors.errors import InputError
    from pipelines.results.reading import read_results, results_of

    read = read_results(path, columns=columns_of(options))
    matched = results_of([sample.path for sample in samples], read)
    if not matched:
        raise InputError(f"{path}: holds no result of a clip of {options.truth}")
    return matched


def _frames(options: Namespace, samples: list[Sample]) -> dict[str, Doubles]:
    from pipelines.evaluation.frames import frames_of, read_frame_scores

    if options.frames is None:
        return {}
    return frames_of(samples, read_frame_scores(options.frames, columns_of(options)))


def _named(words: list[str], samples: list[Sample], options: Namespace) -> dict[str, Any]:
    """Return results by path, by the name before each file's `=`."""
    named = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not (name and equals and path) or name in named:
            raise UsageError(f"{word}: expected NAME=RESULTS, each name once")
        named[name] = _results(Path(path), samples, options)
    return named


def _cross_set(options: Namespace) -> tuple[dict[str, Any], list[str]]:
    from pipelines.evaluation.protocols.cross_set import cross_set, cross_set_table

    samples = _samples(options)
    results, frames = _results(options.results, samples, options), _frames(options, samples)
    metrics = cross_set(samples, results, options.within, frames)
    return metrics, cross_set_table(metrics)


def _one_vs_all(options: Namespace) -> tuple[dict[str, Any], list[str]]:
    from pipelines.evaluation.protocols.one_vs_all import one_vs_all, one_vs_all_table

    samples = _samples(options)
    metrics = one_vs_all(samples, _named(options.results, samples, options))
    return metrics, one_vs_all_table(metrics)


def _fine_labels(options: Namespace) -> tuple[dict[str, Any], list[str]]:
    from pipelines.evaluation.protocols.fine_labels import fine_labels, fine_labels_table

    samples = _samples(options)
    left_out = _named(options.left_out, samples, options)
    metrics = fine_labels(samples, _results(options.results, samples, options), left_out)
    return metrics, fine_labels_table(metrics)


def _quality(options: Namespace) -> tuple[dict[str, Any], list[str]]:
    from avdetect.terminal.output import progress
    from pipelines.evaluation.protocols.visual_quality import by_visual_quality, quality_table

    samples = _samples(options)
    results = _results(options.results, samples, options)
    with progress(str(options.truth), long=1) as on_step:
        metrics = by_visual_quality(samples, results, options.kept, on_step)
    return metrics, quality_table(metrics)


def _aspects(options: Namespace) -> tuple[dict[str, Any], list[str]]:
    from avdetect.terminal.output import progress
    from pipelines.evaluation.protocols.aspects import (
        aspects_table,
        by_aspect,
        coherence_of,
        read_agreement,
    )

    samples, coherence = _samples(options), {}
    results, frames = _results(options.results, samples, options), _frames(options, samples)
    if options.coherence:
        with progress(str(options.truth), long=1) as on_step:
            coherence = coherence_of(samples, options.kept, on_step)
    metrics = by_aspect(samples, results, frames, coherence)
    if options.raters is not None:
        metrics["raters"] = read_agreement(options.raters, columns_of(options))
    return metrics, aspects_table(metrics)


PROTOCOLS = {
    "cross-set": _cross_set, "one-vs-all": _one_vs_all, "fine-labels": _fine_labels,
    "quality": _quality, "aspects": _aspects,
}  # fmt: skip
