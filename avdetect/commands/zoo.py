"""`avdetect zoo`: list, train and compare single detectors."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from avdetect.commands.options import OK, UsageError, add_set, count, seconds

if TYPE_CHECKING:
    from rich.table import Table

    Parsers = argparse._SubParsersAction[ArgumentParser]

HELP = "list, train and compare single detectors of the literature"
DESCRIPTION = (
    "Published detectors as parts: each is trained by one loop on the same clips "
    "and measured by one protocol. docs/zoo.md tells how to add one's own."
)
RECIPE = "configs/starter.yaml"


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's own commands: list, train, evaluate, heads and cues."""
    own = verb.add_subparsers(title="commands", dest="zoo_verb", metavar="COMMAND", required=True)
    listed = own.add_parser("list", help="name the parts, and what each reads and judges")
    _add_parts(listed)
    trained = own.add_parser("train", help="train one part or head")
    trained.add_argument(
        "part", type=Path, metavar="PART.yaml", help="its file, or a plug-in's name"
    )
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
    _add_cues(own)


def _add_cues(own: Parsers) -> None:
    cues = own.add_parser(
        "cues",
        help="train each expert on drawn clips, and try which artefacts it can see",
        description="Draws clips of which everything is known, forges each in one respect, and "
        "prints every expert's AUC on every artefact. Each takes minutes of a core.",
    )
    cues.add_argument("names", nargs="*", metavar="EXPERT", help="experts to try (default: all)")
    cues.add_argument(
        "--clips", type=count, default=60, metavar="N", help="drawings to try it on (default 60)"
    )
    cues.add_argument(
        "--strength", type=seconds, default=1.0, metavar="S",
        help="of the artefacts that it is tried on; it learns those of strength 1 (default 1)",
    )  # fmt: skip
    cues.add_argument(
        "--out", type=Path, default=Path("runs/cues"), metavar="DIR",
        help="folder of logs and checkpoints (default runs/cues)",
    )  # fmt: skip
    cues.add_argument("--board", type=Path, metavar="FILE", help="write the Markdown here")


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
        board = _cues(options) if options.zoo_verb == "cues" else _board(options)
        if options.board is not None:
            options.board.write_text(board, encoding="utf-8")
        console.print(board)
    return OK


def _train(options: Namespace) -> Path:
    import logging

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return trainer_of(options.part)(options.part, options.data, options.out, options.set)


def _cues(options: Namespace) -> str:
    """Return the AUC of each expert on each artefact as a Markdown table."""
    from avdetect.example import example_frames
    from extractors.faces import track_faces
    from pipelines.cues.drawn_clips import mesh_at_rest
    from pipelines.cues.isolation import MEANT, isolation_rows, markdown

    if unknown := sorted(set(options.names) - set(MEANT)):
        raise UsageError(f"zoo cues: no expert {', '.join(unknown)}; there are {', '.join(MEANT)}")
    mesh = mesh_at_rest(track_faces(example_frames(0.2))[0].landmarks[0])
    names = options.names or list(MEANT)
    rows = isolation_rows(names, mesh, options.clips, options.out, options.strength)
    return markdown(dict(rows))


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
    """Return the training function for the part, head or map of a YAML file or of a plug-in.

    Raises:
        ConfigError: the file cannot be read.
    """
    from pipelines.zoo.heads import is_head, train_head
    from pipelines.zoo.maps import is_map, train_map
    from pipelines.zoo.parts import named_part, train_part

    if named_part(path):
        return train_part
    if is_map(path):
        return train_map
    return train_head if is_head(path) else train_part


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
