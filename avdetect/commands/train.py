"""`avdetect train`: train a detector."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from avdetect.commands.options import OK, add_address, add_set, count

HELP = "train a detector"
DESCRIPTION = (
    "Trains a detector as a YAML file says and saves its weights with their "
    "configuration. A run that broke off goes on from its last finished stage."
)


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's options."""
    verb.add_argument("config", type=Path, metavar="CONFIG.yaml", help="what to train on, and how")
    verb.add_argument(
        "--workers",
        type=count,
        default=1,
        metavar="N",
        help="processes that train together, each on batches of the configured size (default 1)",
    )
    add_address(verb)
    add_set(verb, "data.workers=4")


def run(options: Namespace) -> int:
    """Train, and print where the weights are."""
    import logging

    from avdetect.terminal.tables import printable
    from pipelines.train.run import train

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    weights = train(options.config, options.set, options.workers, options.address)
    print(f"the weights are in {printable(str(weights))}")
    return OK
