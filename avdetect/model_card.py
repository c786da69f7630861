"""Make the numbers of the model card again: `python -m avdetect.model_card` (make model-card).

The clips of each manifest are judged as `avdetect scan` judges them, and what was judged is kept:
the same command again goes on where it was stopped.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.evaluation.model_card import Judged

CARD = Path(__file__).parent / "weights" / "MODEL_CARD.md"


def parser() -> ArgumentParser:
    """Return the parser of the command line."""
    made = ArgumentParser(prog="python -m avdetect.model_card", description=__doc__)
    manifest = "NAME=MANIFEST of {}; each is a column"
    kinds = {
        "videos": "clips with picture",
        "speech": "sound files",
        "partial": "clips of which some seconds are forged (a manifest, or metadata of a forging)",
    }
    for name, what in kinds.items():
        made.add_argument(
            f"--{name}", nargs="*", default=[], metavar="NAME=FILE", help=manifest.format(what)
        )
    made.add_argument("--splits", type=Path, help="take only the clips of dev by this list")
    made.add_argument("--weights", type=Path, help="default: the shipped ones")
    made.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    made.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    made.add_argument("--card", type=Path, default=CARD, help="whose numbers are listed")
    made.add_argument("--out", type=Path, default=Path("runs/model_card"), metavar="DIR")
    return made


def make_card(options: Namespace) -> Path:
    """Judge the clips, write the tables and the list of the card's numbers, and return the file.

    Raises:
        InputError: a manifest cannot be used.
    """
    from pipelines.evaluation.card_numbers import accounted, numbers_table
    from pipelines.evaluation.model_card import partial_tables, picture_tables, speech_tables

    kinds = {
        "videos": picture_tables, "speech": speech_tables, "partial": partial_tables,
    }  # fmt: skip
    tables: dict[str, list[str]] = {}
    for kind, tables_of in kinds.items():
        columns = [judged(kind, named, options) for named in getattr(options, kind)]
        if columns:
            tables |= tables_of(columns)
    numbers = accounted(options.card.read_text(encoding="utf-8"), tables)
    sections = {**tables, f"Every number of {options.card.name}": numbers_table(numbers)}
    page = options.out / "model_card.md"
    options.out.mkdir(parents=True, exist_ok=True)
    lines = (["", f"## {title}", "", *content] for title, content in sections.items())
    made = ["# The model card's numbers, made again", *(each for part in lines for each in part)]
    page.write_text("\n".join(made) + "\n", encoding="utf-8")
    return page


def judged(kind: str, named: str, options: Namespace) -> Judged:
    """Return the clips of `NAME=FILE` and their results, which are kept in the options' folder.

    Raises:
        InputError: the file cannot be used, or has no name before it.
    """
    from extractors.errors import InputError
    from pipelines.data.truth import read_truth
    from pipelines.detection.session import WeightsSpec
    from pipelines.evaluation.model_card import Judged
    from pipelines.results.reading import read_results, results_of
    from pipelines.scan.corpus import ScanConfig, scan_corpus

    name, equals, file = named.partition("=")
    if not equals:
        raise InputError(f"{named}: expected NAME=FILE, the title of a column and its manifest")
    samples = read_truth(Path(file), options.splits)
    folder = options.out / kind / name
    folder.mkdir(parents=True, exist_ok=True)
    listed = folder / "clips.txt"
    listed.write_text("".join(f"{s.path.absolute()}\n" for s in samples), encoding="utf-8")
    weights = options.weights and options.weights.absolute()
    config = ScanConfig(
        WeightsSpec(weights, options.device), options.workers, timelines=kind == "partial"
    )
    summary = scan_corpus(str(listed), folder, config, lambda beginning: None, lambda done: None)
    results = read_results(Path(summary["results"]).parent, timelines=True)
    return Judged(name, samples, results_of([s.path for s in samples], results))


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the numbers again; return 2 where the input cannot be used."""
    from extractors.errors import AvdetectError

    try:
        page = make_card(parser().parse_args(arguments))
    except (AvdetectError, OSError) as error:
        sys.stderr.write(f"model_card: {error}\n")
        return 2
    sys.stdout.write(f"{page}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
