"""`avdetect zoo`: list, train and compare single detectors."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from avdetect.commands.options import FAILED, OK, UsageError, add_set, count, seconds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pipelines.zoo.part_run import PartResult

    Parsers = argparse._SubParsersAction[ArgumentParser]

HELP = "list, run, train and compare single detectors of the literature"
DESCRIPTION = (
    "Published detectors as parts: each is trained by one loop on the same clips "
    "and measured by one protocol. docs/zoo.md tells how to add one's own."
)
RECIPE = "configs/starter.yaml"


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's own commands: list, run, train, evaluate, heads and cues."""
    own = verb.add_subparsers(title="commands", dest="zoo_verb", metavar="COMMAND", required=True)
    listed = own.add_parser("list", help="name the parts, and what each reads and judges")
    _add_parts(listed)
    ran = own.add_parser("run", help="judge files by one part")
    ran.add_argument("part", metavar="NAME", help="the part's name, or its file PART.yaml")
    ran.add_argument("videos", nargs="+", metavar="VIDEO", help="video or sound files")
    _add_parts(ran)
    _add_weights(ran, "the part's weights")
    ran.add_argument(
        "--json",
        metavar="FILE",
        help="write results here, a JSON object a line; - prints them instead of the table",
    )
    add_set(ran, "settings.patches=192")
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
    _add_weights(measured, "the parts' weights")
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
    _add_weights(heads, "their weights")
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


def _add_weights(verb: ArgumentParser, whose: str) -> None:
    verb.add_argument(
        "--weights", type=Path, metavar="DIR", help=f"folder of {whose} (default: those shipped)"
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
    elif options.zoo_verb == "run":
        return _judge(options, console)
    elif options.zoo_verb == "train":
        weights = _train(options)
        console.print(f"the weights are in {weights}")
    else:
        board = _cues(options) if options.zoo_verb == "cues" else _board(options)
        if options.board is not None:
            options.board.write_text(board, encoding="utf-8")
        console.print(board)
    return OK


def _judge(options: Namespace, console: Console) -> int:
    """Judge files by a part, write a row for each, and print a table unless the rows are."""
    from rich.table import Table

    from avdetect.terminal.output import complain, json_lines, quiet_libraries
    from avdetect.terminal.tables import printable
    from extractors.media import MediaError
    from pipelines.detection.verdict import error_dict
    from pipelines.zoo.part_run import PartRunner
    from pipelines.zoo.parts import SHIPPED

    name, code = options.part, OK
    path = Path(name) if name.endswith(".yaml") else options.parts / f"{name}.yaml"
    table = Table("file", "score", "suspicious seconds", "measured besides")
    with quiet_libraries(), json_lines(options.json) as write:
        runner = PartRunner(path, options.weights or SHIPPED, options.set)
        for video in options.videos:
            try:
                result = runner.judge(Path(video))
            except MediaError as error:
                complain(str(error))
                write(error_dict(video, error))
                code = FAILED
                continue
            write({"part": path.stem, "modality": runner.config.modality, **result.to_dict(video)})
            table.add_row(printable(video), *_cells(result))
    if options.json != "-":
        console.print(f"{path.stem}: {runner.config.title}, {runner.config.modality}")
        console.print(table)
    return code


def _cells(result: PartResult) -> tuple[str, str, str]:
    """Return a result's score, segments and further measurements, the latter a line each."""
    from avdetect.terminal.tables import printable
    from pipelines.report.wording import clock

    spans = [f"{clock(start)}–{clock(end)}" for _, start, end in result.segments]
    facts = [
        f"{name}: {f'{value:.6g}' if isinstance(value, float) else value}"
        for name, value in result.facts.items()
    ]
    lines = [printable(fact) for fact in facts]
    return f"{result.score:.2f}", "\n".join(spans), "\n".join(lines)


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
    from pipelines.zoo.anomaly import train_anomaly
    from pipelines.zoo.head_clips import kind_of
    from pipelines.zoo.heads import train_head
    from pipelines.zoo.liveness import train_liveness
    from pipelines.zoo.maps import train_map
    from pipelines.zoo.parts import named_part, train_part

    kind = None if named_part(path) else kind_of(path)
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
