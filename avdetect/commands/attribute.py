"""`avdetect attribute`: the family of generators, or the registered one, behind a forged clip."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from avdetect.commands.options import FAILED, OK, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from avdetect.terminal.output import WriteRow
    from pipelines.attribution.attribute import Attribution

HELP = "which family of generators made a forged clip, or one that you registered"
DESCRIPTION = (
    "Compares the face and the voice of a clip's first three seconds with known "
    "families of generators and with those that you registered by a few clips each. It says "
    "`unknown` where none is near; whether a clip is forged at all is for `avdetect detect`."
)
LAUNDERED = (
    "the picture looks as if genuine content had been passed through a generator: it may depict "
    "real events"
)
WORTH = (
    "A weak lead: of generators that taught it nothing, the family that is named is right no more "
    "often than the commonest would be, and one in thirty genuine voices is given one. docs/zoo.md "
    "has the numbers; whether a clip is forged at all is for avdetect detect."
)
TRACKS = {"visual": "picture", "audio": "sound"}


def add_arguments(verb: ArgumentParser) -> None:
    """Add the options. The first words may be `add NAME` or `list`; files of those names: ./add."""
    verb.usage = (
        "avdetect attribute VIDEO... | add NAME VIDEO... | list  [--json FILE] [--register FILE]"
    )
    verb.add_argument(
        "videos",
        nargs="+",
        metavar="VIDEO",
        help="files to attribute; or `add NAME` and some clips of a new generator; or `list`",
    )
    verb.add_argument(
        "--json",
        metavar="FILE",
        help="write what is found here, a JSON object a line; - prints them instead of the table",
    )
    verb.add_argument(
        "--register",
        type=Path,
        metavar="FILE",
        help="where registered generators are kept (default: "
        "~/.local/share/avdetect/generators.safetensors)",
    )


def run(options: Namespace) -> int:
    """Attribute files, register a generator or list all."""
    from rich.console import Console

    from avdetect.terminal.output import json_lines, quiet_libraries
    from pipelines.attribution.attribute import Attribution, default_register

    console = Console(highlight=False, soft_wrap=True, markup=False)
    register, (first, *others) = options.register or default_register(), options.videos
    if first == "list" and others:
        raise UsageError("attribute list: takes no files; a file of that name is ./list")
    if first == "add" and len(others) < 2:
        raise UsageError("attribute add: needs a name and at least one clip")
    with quiet_libraries():
        attribution = Attribution(register)
        if first == "list":
            console.print(known_table(attribution))
            return OK
        if first == "add":
            return _add(attribution, others[0], others[1:], console)
        with json_lines(options.json) as write:
            shown = None if options.json == "-" else console
            return _attribute(attribution, options.videos, write, shown)


def _add(attribution: Attribution, name: str, clips: list[str], console: Console) -> int:
    from avdetect.terminal.output import complain, progress
    from avdetect.terminal.tables import printable

    with progress(name, long=1) as on_step:
        failed = attribution.add(name, [Path(clip) for clip in clips], on_step)
    for message in failed.values():
        complain(message)
    used = len(clips) - len(failed)
    console.print(f"{printable(name)}: registered by {used} of {len(clips)} clips")
    return FAILED if failed else OK


def _attribute(
    attribution: Attribution, videos: list[str], write: WriteRow, console: Console | None
) -> int:
    """Attribute files, write a row for each, and print a table if there is a console."""
    from rich.table import Table

    from avdetect.terminal.output import complain
    from avdetect.terminal.tables import printable
    from extractors.media import MediaError
    from pipelines.detection.verdict import error_dict

    table, code = Table("file", "track", "made by", "nearest", "cosine", "looks like"), OK
    laundered = []
    for video in videos:
        try:
            attributed = attribution.attribute(Path(video))
        except MediaError as error:
            complain(str(error))
            write(error_dict(video, error))
            code = FAILED
            continue
        write(attributed.to_dict(video))
        for row in attributed.likenesses:
            name = printable(row.nearest)
            table.add_row(
                printable(video), TRACKS[row.track], name if row.near else "unknown", name,
                f"{row.cosine:.2f}", ", ".join(attributed.types) or "nothing known",
            )  # fmt: skip
        if attributed.origin == "laundered":
            laundered.append(video)
    if console is not None:
        console.print(table)
        console.print(WORTH)
    for video in laundered:
        complain(f"{video}: {LAUNDERED}")
    return code


def known_table(attribution: Attribution) -> Table:
    """Return a table of the families and the registered generators."""
    from rich.table import Table

    from avdetect.terminal.tables import printable

    table = Table("name", "tracks", "kind")
    for track, (_, config) in attribution.families.items():
        for family in config.labels:
            table.add_row(family, TRACKS[track], "family")
    for name, proxies in attribution.own.items():
        tracks = ", ".join(TRACKS[track] for track in proxies)
        table.add_row(printable(name), tracks, "registered")
    return table
