"""The options of `avdetect datasets`, and their help for a newcomer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

SPLITTINGS = ("person", "within", "cross-forgery", "cross-domain", "both")


def add_datasets(verbs: Verbs) -> None:
    """Add the verb with its own four commands."""
    verb = verbs.add_parser(
        "datasets",
        help="read, check and split the field's data sets",
        description="Reads the field's data sets in their makers' layout into one manifest, "
        "which `scan`, `evaluate` and `train` take.",
    )
    commands = verb.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    commands.add_parser("list", help="print the data sets that can be read")
    manifest = commands.add_parser("manifest", help="write a data set's manifest")
    validate = commands.add_parser(
        "validate",
        help="count what is there, missing, unreadable and contradictory",
        description="Compares a data set's own lists with its files, and opens each. The exit "
        "code is 1 where something is missing, unreadable or contradictory.",
    )
    for command in (manifest, validate):
        command.add_argument("name", metavar="NAME", help="as `avdetect datasets list` has it")
        command.add_argument("root", type=Path, metavar="ROOT", help="the folder it lies in")
    manifest.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .csv to write")
    validate.add_argument("--quick", action="store_true", help="do not open the files")
    _add_split(commands)


def _add_split(commands: Verbs) -> None:
    split = commands.add_parser(
        "split",
        help="split a manifest so that no person crosses, or by a protocol",
        description="By person: everyone is in one split alone. By one of DF40's protocols: "
        "training sees --methods in --domain; the test has other methods (cross-forgery), other "
        "domains (cross-domain), both, or neither (within).",
    )
    split.add_argument("manifest", type=Path, metavar="MANIFEST", help="what `manifest` wrote")
    split.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .csv to write")
    split.add_argument("--by", choices=SPLITTINGS, default="person", help="(default person)")
    split.add_argument(
        "--shares", nargs=3, type=float, default=(0.7, 0.1, 0.2), metavar="SHARE",
        help="of clips in train, val and test (default 0.7 0.1 0.2)",
    )  # fmt: skip
    split.add_argument("--seed", type=int, default=0, metavar="S", help="(default 0)")
    split.add_argument("--methods", nargs="+", default=[], metavar="METHOD", help="of training")
    split.add_argument("--domain", default="", metavar="DOMAIN", help="of training")
