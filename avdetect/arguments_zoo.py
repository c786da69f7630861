"""The options of `avdetect zoo`, and their help for a newcomer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

RECIPE = "configs/starter.yaml"


def add_zoo(verbs: Verbs) -> None:
    """Add the verb and its own verbs: list, train and evaluate."""
    verb = verbs.add_parser(
        "zoo",
        help="list, train and compare single detectors of the literature",
        description="Published detectors as parts: each is trained by one loop on the same clips "
        "and measured by one protocol. docs/zoo.md tells how to add one's own.",
    )
    own = verb.add_subparsers(title="commands", dest="zoo_verb", metavar="COMMAND", required=True)
    listed = own.add_parser("list", help="name the parts, and what each reads and judges")
    _add_parts(listed)
    trained = own.add_parser("train", help="train one part or head")
    trained.add_argument("part", type=Path, metavar="PART.yaml", help="its file")
    _add_data(trained)
    trained.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting of the part, such as stage.updates=100; may be given again",
    )
    measured = own.add_parser("evaluate", help="measure the parts on the dev clips of a recipe")
    measured.add_argument(
        "names", nargs="*", metavar="NAME", help="parts to measure (default: all)"
    )
    _add_parts(measured)
    _add_data(measured)
    measured.add_argument(
        "--weights", type=Path, metavar="DIR", help="the parts' weights (default: those shipped)"
    )
    measured.add_argument(
        "--against",
        type=Path,
        action="append",
        default=[],
        metavar="RESULTS",
        help="what `avdetect detect --json` wrote of the same clips, to compare with; may be given "
        "again",
    )
    measured.add_argument("--board", type=Path, metavar="FILE", help="write the Markdown here")
    heads = own.add_parser(
        "heads", help="measure the heads: kinds of forgery, families of generators"
    )
    heads.add_argument("names", nargs="*", metavar="NAME", help="heads to measure (default: all)")
    _add_data(heads)
    heads.add_argument(
        "--weights", type=Path, metavar="DIR", help="their weights (default: those shipped)"
    )
    heads.add_argument("--board", type=Path, metavar="FILE", help="write the Markdown here")


def _add_parts(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--parts",
        type=Path,
        default=Path("configs/zoo"),
        metavar="DIR",
        help="folder of the parts' YAML files (default configs/zoo)",
    )


def _add_data(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--data",
        type=Path,
        default=Path(RECIPE),
        metavar="RECIPE.yaml",
        help=f"training recipe whose clips are taken (default {RECIPE})",
    )
    verb.add_argument(
        "--out",
        type=Path,
        default=Path("runs/zoo"),
        metavar="DIR",
        help="folder of runs: weights, logs, checkpoints (default runs/zoo)",
    )
