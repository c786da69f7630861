"""`avdetect adapt`: fit the weights to one's own clips."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from avdetect.commands.options import OK, add_columns, add_set, columns_of, count, number

if TYPE_CHECKING:
    from pipelines.adapt.adapt import AdaptConfig

HELP = "fit the weights to your own clips, in minutes"
DESCRIPTION = (
    "Fits the calibration and the linear rules of the weights to labelled clips, holds some of "
    "them out by person and recording, and writes weights with a model card that says how clips "
    "held out, and clips from elsewhere, are judged before and after."
)


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's options."""
    verb.add_argument(
        "manifests",
        nargs="+",
        type=Path,
        metavar="MANIFEST",
        help="a table of your clips (.csv, .tsv, .jsonl, .parquet): path and label, and better "
        "also person, pair, split (train or test) and what was forged",
    )
    add_columns(verb)
    written = verb.add_mutually_exclusive_group(required=True)
    written.add_argument(
        "--out", type=Path, metavar="FILE", help="the weights to write (.safetensors); card: .md"
    )
    written.add_argument(
        "--write-reference",
        type=Path,
        metavar="FILE",
        help="adapt nothing: write what the weights say of the clips, for --reference",
    )
    verb.add_argument(
        "--genuine-only",
        action="store_true",
        help="only lower the alarms on genuine clips like yours; fakes teach nothing",
    )
    verb.add_argument(
        "--rate", type=_share, default=0.05, metavar="P",
        help="with --genuine-only: the share of genuine clips that may be called fake "
        "(default 0.05)",
    )  # fmt: skip
    verb.add_argument(
        "--held-out", type=_share, default=0.5, metavar="P",
        help="the share of clips to hold out where the manifest has no split (default 0.5)",
    )  # fmt: skip
    verb.add_argument("--seed", type=number, default=0, metavar="N", help="of that split")
    verb.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="clips that shall be judged as before: a manifest, or what --write-reference wrote "
        "(default: the package's)",
    )
    verb.add_argument(
        "--weights", type=Path, metavar="FILE", help="what is adapted (default: the starter)"
    )
    verb.add_argument("--splits", type=Path, metavar="FILE", help="a list of sources' splits")
    verb.add_argument(
        "--cache", type=Path, default=Path("cache/streams"), metavar="DIR",
        help="where streams are kept, so that a second run is quick (default cache/streams)",
    )  # fmt: skip
    verb.add_argument(
        "--workers", type=count, default=1, metavar="N", help="processes that extract streams"
    )
    add_set(verb, "judge.uncertain=[0.3,0.7]")


def run(options: Namespace) -> int:
    """Adapt, and print what changed for clips held out and elsewhere."""
    from rich.console import Console

    from avdetect.terminal.adaptation import adaptation_view
    from avdetect.terminal.output import progress, quiet_libraries
    from avdetect.terminal.tables import printable
    from pipelines.adapt.adapt import adapt, write_reference

    config = _config(options)
    with quiet_libraries(), progress(str(options.manifests[0]), long=1) as on_step:
        if options.out is None:
            reference = write_reference(config, on_step)
            view = None
        else:
            view = adaptation_view(adapt(config, on_step))
    console = Console(highlight=False, soft_wrap=True)
    if view is None:
        console.print(f"{printable(str(config.out))}: {printable(reference.what)}")
    else:
        console.print(view)
        card = config.out.with_suffix(".md")
        console.print(f"written: {printable(str(config.out))}, {printable(str(card))}")
    return OK


def _config(options: Namespace) -> AdaptConfig:
    """Return what is adapted to what."""
    from pipelines.adapt.adapt import AdaptConfig

    return AdaptConfig(
        manifests=tuple(options.manifests),
        out=options.write_reference if options.out is None else options.out,
        weights=options.weights,
        columns=columns_of(options),
        splits=options.splits,
        cache=options.cache,
        workers=options.workers,
        share=options.held_out,
        seed=options.seed,
        genuine_only=options.genuine_only,
        rate=options.rate,
        reference=options.reference,
        overrides=tuple(options.set),
    )


def _share(text: str) -> float:
    """Return a number between 0 and 1."""
    share = float(text)
    if not 0 < share < 1:
        raise ArgumentTypeError(f"expected a share between 0 and 1, got {text}")
    return share
