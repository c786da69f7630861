"""`avdetect scan`: judge a corpus, or compare its files with each other."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avdetect.commands.options import (
    FAILED,
    OK,
    UsageError,
    add_address,
    add_cache,
    add_columns,
    add_model_options,
    columns_of,
    count,
    number,
    seconds,
)

if TYPE_CHECKING:
    from pipelines.scan.budget import ErrorBudget
    from pipelines.scan.loop import OnProgress, Progress

HELP = "judge a corpus of videos on all cores or a cluster"
DESCRIPTION = (
    "Judges every video of a source and keeps the results in Parquet files. The "
    "same command again goes on where it was stopped. A file that cannot be read stops no other."
)


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's options."""
    verb.add_argument(
        "source",
        metavar="SOURCE",
        help="a folder, a 'pattern', a text file of paths, a manifest (.csv, .tsv, .jsonl, "
        ".parquet) with a column `path`, or a URI such as s3://bucket/folder",
    )
    verb.add_argument("--out", type=Path, metavar="DIR", help="where to keep the results")
    verb.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="processes (default: what the cores carry; 1: this one alone, without Ray)",
    )
    verb.add_argument(
        "--cores",
        type=count,
        metavar="N",
        help="of each worker (default: 1, or 2 where there are twice as many cores as workers)",
    )
    verb.add_argument(
        "--judges",
        type=number,
        metavar="N",
        help="of these, besides, judge what the others extract (default: what the plan finds; 0: "
        "each does both)",
    )
    verb.add_argument(
        "--plan", action="store_true", help="print how the work would be divided, and stop"
    )
    verb.add_argument(
        "--timelines", action="store_true", help="also keep the scores of every 40 ms"
    )
    verb.add_argument(
        "--mutual",
        choices=("visual", "audio"),
        help="judge nothing: list which files have the least in common with the others, by picture "
        "or sound. Needs no labels, and finds artefacts that few files have; one that more than "
        "three in ten share goes unseen",
    )
    verb.add_argument("--fresh", action="store_true", help="judge again what was judged before")
    add_columns(verb)
    add_address(verb)
    verb.add_argument(
        "--shard",
        type=seconds,
        default=540.0,
        metavar="SECONDS",
        help="judge videos that are longer by half in parts of this length (default 540)",
    )
    verb.add_argument(
        "--limit",
        type=seconds,
        default=300.0,
        metavar="SECONDS",
        help="give a video up after so long without progress (default 300; none with one worker)",
    )
    verb.add_argument(
        "--max-errors",
        type=_budget,
        metavar="N|N%",
        help="stop when more videos failed, or a larger share of those done (of 100 at first)",
    )
    verb.add_argument(
        "--metrics",
        type=Path,
        metavar="FILE",
        help="keep the progress in this file for Prometheus's node exporter (name.prom)",
    )
    add_cache(verb)
    add_model_options(verb)


def run(options: Namespace) -> int:
    """Judge a corpus, keep its results, and print the summary."""
    if options.mutual:
        return _run_mutual(options)
    from rich.console import Console

    from avdetect.terminal.corpus import corpus_progress, plan_text, summary_table
    from avdetect.terminal.output import quiet_libraries
    from pipelines.detection.session import WeightsSpec
    from pipelines.scan.budget import ErrorBudget
    from pipelines.scan.corpus import ScanConfig, make_plan, scan_corpus
    from pipelines.scan.metrics_file import MetricsFile

    weights = options.weights and options.weights.absolute()  # workers may be in other folders
    cache = options.cache and options.cache.absolute()
    model = WeightsSpec(weights, options.device, tuple(options.set), options.shard, cache)
    config = ScanConfig(
        model, options.workers, options.cores, options.judges, options.timelines, options.fresh,
        options.address, options.limit, columns_of(options), options.max_errors or ErrorBudget(),
    )  # fmt: skip
    console = Console(highlight=False, soft_wrap=True)
    if options.plan:
        with quiet_libraries():
            plan = make_plan(config)
        console.print(plan_text(plan))
        return OK
    if options.out is None:
        raise UsageError("scan needs --out DIR, where the results are kept")
    with ExitStack() as stack:
        stack.enter_context(quiet_libraries())
        on_begin, on_progress = stack.enter_context(corpus_progress())
        if options.metrics is not None:
            metrics = stack.enter_context(MetricsFile(options.metrics))
            on_progress = _both(metrics.update, on_progress)
        summary = scan_corpus(options.source, options.out, config, on_begin, on_progress)
    console.print(summary_table(summary))
    return FAILED if summary["failed"] else OK


def _budget(text: str) -> ErrorBudget:
    """Return how many videos may fail, of a text such as `5%` or `20`."""
    from pipelines.scan.budget import ErrorBudget

    return ErrorBudget.of(text)


def _both(first: OnProgress, second: OnProgress) -> OnProgress:
    def on_progress(progress: Progress) -> None:
        first(progress)
        second(progress)

    return on_progress


def _run_mutual(options: Namespace) -> int:
    """Compare the files of a corpus with each other."""
    from avdetect.commands.scan_mutual import compare_corpus

    judging: dict[str, Any] = {
        "plan": False, "timelines": False, "cores": None, "judges": None, "device": "cpu",
        "set": [], "cache": None, "max_errors": None, "metrics": None,
    }  # fmt: skip
    if idle := [f"--{name}" for name, unset in judging.items() if getattr(options, name) != unset]:
        raise UsageError(f"scan --mutual judges nothing and takes no {', '.join(idle)}")
    if options.out is None:
        raise UsageError("scan needs --out DIR, where the results are kept")
    failed = compare_corpus(options)
    return FAILED if failed else OK
