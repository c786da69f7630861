"""`avdetect extract`: streams and tokens of a corpus, for other programs to learn from."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

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
    seconds,
)

HELP = "write what the extractors and experts make of files, for your own models"
DESCRIPTION = (
    "Writes streams (face crops, flow, depth, log-mel, ...) and tokens (the experts' outputs) of "
    "every clip as a safetensors file on the 25 Hz clock, and an index. The same command again "
    "goes on where it was stopped. A file that cannot be read stops no other."
)


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's options."""
    verb.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="what `scan` takes: a file, a folder, a 'pattern', a list, a manifest or a URI",
    )
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    verb.add_argument(
        "--streams", nargs="+", default=[], metavar="NAME", help="such as mouth and mel, or all"
    )
    verb.add_argument(
        "--tokens", nargs="+", default=[], metavar="NAME", help="such as lips and voice, or all"
    )
    verb.add_argument(
        "--layout",
        choices=("actionformer", "ummaformer"),
        help="also write arrays (T, D) of appearance, flow and mel, and annotations, as that "
        "program reads them",
    )
    verb.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="processes (default: what the cores carry; 1: this one alone, without Ray)",
    )
    verb.add_argument("--fresh", action="store_true", help="extract again what is there")
    verb.add_argument(
        "--limit",
        type=seconds,
        default=300.0,
        metavar="SECONDS",
        help="give a clip up after so long without progress (default 300; none with one worker)",
    )
    add_columns(verb)
    add_address(verb)
    add_cache(verb)
    add_model_options(verb)


def run(options: Namespace) -> int:
    """Extract a corpus, and print where its features are."""
    if not (options.streams or options.tokens or options.layout):
        raise UsageError("extract needs --streams, --tokens or --layout: what is to be written")
    from avdetect.terminal.corpus import corpus_progress
    from avdetect.terminal.output import complain, quiet_libraries
    from avdetect.terminal.tables import printable
    from pipelines.detection.session import WeightsSpec
    from pipelines.features.clip_file import Wanted
    from pipelines.features.extract import ExtractConfig, extract_corpus

    weights, cache = (path and path.absolute() for path in (options.weights, options.cache))
    config = ExtractConfig(
        Wanted(tuple(options.streams), tuple(options.tokens)), options.layout,
        WeightsSpec(weights, options.device, tuple(options.set), cache=cache), options.workers,
        options.fresh, options.address, options.limit, columns_of(options),
    )  # fmt: skip
    with quiet_libraries(), corpus_progress() as (on_begin, on_progress):
        done = extract_corpus(options.sources, options.out, config, on_begin, on_progress, complain)
    print(f"{done.clips} clips are in {printable(str(done.folder))}")
    if done.layout is not None:
        print(f"as {options.layout} reads them: {printable(str(done.layout))}")
    return FAILED if done.failed else OK
