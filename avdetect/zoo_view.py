"""Options of `avdetect zoo` in; a table, weights or a leaderboard out."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines.zoo.head_board import evaluate_heads, heads_table
from pipelines.zoo.heads import is_head, train_head
from pipelines.zoo.leaderboard import evaluate_zoo, leaderboard
from pipelines.zoo.maps import is_map, train_map
from pipelines.zoo.parts import SHIPPED, read_parts, train_part


def run_zoo(options: Namespace) -> None:
    """List, train or measure parts, as options say.

    Raises:
        OSError, ValueError: a file or a setting cannot be used.
    """
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if options.zoo_verb == "list":
        console.print(parts_table(options))
    elif options.zoo_verb == "train":
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        weights = trainer_of(options.part)(options.part, options.data, options.out, options.set)
        console.print(f"the weights are in {weights}")
    else:
        weights = options.weights or SHIPPED
        if options.zoo_verb == "heads":
            board = heads_table(evaluate_heads(options.data, options.out, options.names, weights))
        else:
            rows = evaluate_zoo(
                options.parts, options.data, options.out, weights, options.against, options.names
            )
            board = leaderboard(rows)
        if options.board is not None:
            options.board.write_text(board, encoding="utf-8")
        console.print(board)


def trainer_of(path: Path) -> Callable[[Path, Path, Path, list[str]], Path]:
    """Return what trains the part, head or map that a YAML file describes.

    Raises:
        ConfigError: the file cannot be read.
    """
    if is_map(path):
        return train_map
    return train_head if is_head(path) else train_part


def parts_table(options: Namespace) -> Table:
    """Return the parts of a folder, a row each."""
    table = Table("part", "what", "judges", "reads", "weights")
    for name, config in read_parts(options.parts).items():
        weights = "needs none" if config.stage is None else "to be trained"
        if (SHIPPED / f"{name}.safetensors").exists():
            weights = "shipped"
        table.add_row(name, config.title, config.modality, ", ".join(config.streams), weights)
    return table
