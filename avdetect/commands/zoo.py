"""`avdetect zoo`: list, train and compare single detectors."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from avdetect.commands.options import OK, add_set

if TYPE_CHECKING:
    from rich.table import Table

HELP = "list, train and compare single detectors of the literature"
DESCRIPTION = (
    "Published detectors as parts: each is trained by one loop on the same clips "
    "and measured by one protocol. docs/zoo.md tells how to add one's own."
)
RECIPE = "configs/starter.yaml"


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's own commands: list, train, evaluate and heads."""
    own = verb.add_subparsers(title="commands", dest="zoo_verb", metavar="COMMAND", required=True)
    listed = own.add_parser("list", help="name the parts, and what each reads and judges")
    _add_parts(listed)
    trained = own.add_parser("train", help="train one part or head")
    trained.add_argument("part", type=Path, metavar="PART.yaml", help="its file")
    _add_data(trained)
    add_set(trained, "stage.updates=100")
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


def _add_parts(verb: ArgumentParser) -> None:
    verb.add_argument(
        "--parts",
        type=Path,
        default=Path("configs/zoo"),
        metavar="DIR",
        help="folder of the parts' YAML files (default configs/zoo)",
    )


def _add_data(verb: ArgumentParser) -> None:
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


def run(options: Namespace) -> int:
    """List, train or measure parts."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, markup=False)
    if options.zoo_verb == "list":
        console.print(parts_table(options.parts))
    elif options.zoo_verb == "train":
        weights = _train(options)
        console.print(f"the weights are in {weights}")
    else:
        board = _board(options)
        if options.board is not None:
            options.board.write_text(board, encoding="utf-8")
        console.print(board)
    return OK


def _train(options: Namespace) -> Path:
    import logging

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return trainer_of(options.part)(options.part, options.data, options.out, options.set)


def _board(options: Namespace) -> str:
    """Return the measured parts or heads as a Markdown table."""
    from pipelines.zoo.head_board import evaluate_heads, heads_table
    from pipelines.zoo.leaderboard import evaluate_zoo, leaderboard
    from pipelines.zoo.parts import SHIPPED

    weights = options.weights or SHIPPED
    if options.zoo_verb == "heads":
        return heads_table(evaluate_heads(options.data, options.out, options.names, weights))
    rows = evaluate_zoo(
        options.parts, options.data, options.out, weights, options.against, options.names
    )
    return leaderboard(rows)


def trainer_of(path: Path) -> Callable[[Path, Path, Path, list[str]], Path]:
    """Return the training function for the part, head or map of a YAML file.

    Raises:
        ConfigError: the file cannot be read.
    """
    from pipelines.zoo.anomaly import train_anomaly
    from pipelines.zoo.head_clips import kind_of
    from pipelines.zoo.heads import train_head
    from pipelines.zoo.liveness import train_liveness
    from pipelines.zoo.maps import train_map
    from pipelines.zoo.parts import train_part

    kind = kind_of(path)
    if kind is None:
        return train_part
    drawn = {"map": train_map, "liveness": train_liveness, "anomaly": train_anomaly}
    return drawn.get(kind, train_head)


def parts_table(folder: Path) -> Table:
    """Return a table of the parts in a folder."""
    from rich.table import Table

    from pipelines.zoo.parts import SHIPPED, read_parts

    table = Table("part", "what", "judges", "reads", "weights")
    for name, config in read_parts(folder).items():
        weights = "needs none" if config.stage is None else "to be trained"
        if (SHIPPED / f"{name}.safetensors").exists():
            weights = "shipped"
        table.add_row(name, config.title, config.modality, ", ".join(config.streams), weights)
    return table
