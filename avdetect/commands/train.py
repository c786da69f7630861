"""`avdetect train`: train a detector."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from avdetect.commands.options import OK, UsageError, add_address, add_set, count

HELP = "train a detector"
DESCRIPTION = (
    "Trains a detector as a YAML file says and saves its weights with their "
    "configuration. With --data, trains on a public data set, judges its test clips and prints "
    "its protocol's numbers beside those published. A run that broke off goes on from its last "
    "finished stage."
)


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's options."""
    verb.add_argument(
        "config",
        type=Path,
        nargs="?",
        metavar="CONFIG.yaml",
        help="what to train on, and how (with --data: default configs/datasets/NAME.yaml)",
    )
    verb.add_argument(
        "--data",
        action="append",
        default=[],
        type=_named_root,
        metavar="NAME=ROOT",
        help="a data set as `avdetect datasets list` names it, and the folder it lies in; given "
        "again, the last is tested",
    )
    verb.add_argument(
        "--workers",
        type=count,
        default=1,
        metavar="N",
        help="processes that train together, each on batches of the configured size (default 1)",
    )
    add_address(verb)
    add_set(verb, "data.workers=4 (with --data: train.data.workers=4)")


def _named_root(text: str) -> tuple[str, Path]:
    name, equals, root = text.partition("=")
    if not (name and equals and root):
        raise ValueError(text)
    return name, Path(root)


def run(options: Namespace) -> int:
    """Train, and print where the weights are."""
    import logging

    from avdetect.terminal.tables import printable
    from pipelines.train.run import train

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.data:
        return _run_public(options)
    if options.config is None:
        raise UsageError("train needs CONFIG.yaml, or --data NAME=ROOT")
    weights = train(options.config, options.set, options.workers, options.address)
    print(f"the weights are in {printable(str(weights))}")
    return OK


def _run_public(options: Namespace) -> int:
    """Train on a public data set, and print its numbers beside those published."""
    from rich.console import Console
    from rich.table import Table

    from avdetect.terminal.evaluation import evaluation_view
    from avdetect.terminal.output import complain
    from avdetect.terminal.tables import printable
    from pipelines.public_sets.run import train_on

    done = train_on(
        options.data, options.config, options.set, options.workers, options.address, complain
    )
    console = Console(highlight=False, soft_wrap=True)
    console.print(evaluation_view(done.metrics))
    table = Table(f"{done.title}, in %", *done.systems, box=None, pad_edge=False)
    for row in done.rows:
        table.add_row(*row)
    console.print(table)
    console.print(f"the weights are in {printable(str(done.weights))}", markup=False)
    console.print(f"the report, with sources, is in {printable(str(done.report))}", markup=False)
    return OK
