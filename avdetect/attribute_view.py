"""Options of `avdetect attribute` in; a table of likenesses or of registered generators out."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from avdetect.terminal.output import WriteRow, complain, json_lines, progress, quiet_libraries
from avdetect.terminal.tables import printable
from extractors.media import MediaError
from pipelines.attribution.attribute import Attribution, RegisterError, default_register
from pipelines.detection.verdict import error_dict

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


def run_attribute(options: Namespace) -> bool:
    """Attribute files, register a generator or list all; return whether all files were read.

    Raises:
        OSError, ValueError: the words do not fit together, or a file cannot be used.
    """
    console = Console(highlight=False, soft_wrap=True, markup=False)
    register, (first, *others) = options.register or default_register(), options.videos
    if first == "list" and others:
        raise RegisterError("attribute list: takes no files; a file of that name is ./list")
    if first == "add" and len(others) < 2:
        raise RegisterError("attribute add: needs a name and at least one clip")
    with quiet_libraries():
        attribution = Attribution(register)
        if first == "list":
            console.print(known_table(attribution))
            return True
        if first == "add":
            return _add(attribution, others[0], others[1:], console)
        with json_lines(options.json) as write:
            return _attribute(
                attribution, options.videos, write, None if options.json == "-" else console
            )


def _add(attribution: Attribution, name: str, clips: list[str], console: Console) -> bool:
    with progress(name, long=1) as on_step:
        failed = attribution.add(name, [Path(clip) for clip in clips], on_step)
    for message in failed.values():
        complain(message)
    used = len(clips) - len(failed)
    console.print(f"{printable(name)}: registered by {used} of {len(clips)} clips")
    return not failed


def _attribute(
    attribution: Attribution, videos: list[str], write: WriteRow, console: Console | None
) -> bool:
    """Attribute files, write a row of each, and print a table if there is a console for it."""
    table, every = Table("file", "track", "made by", "nearest", "cosine", "looks like"), True
    laundered = []
    for video in videos:
        try:
            found = attribution.attribute(Path(video))
        except MediaError as error:
            complain(str(error))
            write(error_dict(video, error))
            every = False
            continue
        write(found.to_dict(video))
        for row in found.likenesses:
            name = printable(row.nearest)
            table.add_row(
                printable(video), TRACKS[row.track], name if row.near else "unknown", name,
                f"{row.cosine:.2f}", ", ".join(found.types) or "nothing known",
            )  # fmt: skip
        if found.origin == "laundered":
            laundered.append(video)
    if console is not None:
        console.print(table)
        console.print(WORTH)
    for video in laundered:
        complain(f"{video}: {LAUNDERED}")
    return every


def known_table(attribution: Attribution) -> Table:
    """Return the families and the registered generators, a row each."""
    table = Table("name", "tracks", "kind")
    for track, (_, config) in attribution.families.items():
        for family in config.labels:
            table.add_row(family, TRACKS[track], "family")
    for name, proxies in attribution.own.items():
        tracks = ", ".join(TRACKS[track] for track in proxies)
        table.add_row(printable(name), tracks, "registered")
    return table
