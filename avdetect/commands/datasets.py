"""`avdetect datasets`: read, check and split the field's data sets."""

from __future__ import annotations

import argparse
import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from avdetect.commands.options import FAILED, OK, add_columns, columns_of

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[ArgumentParser]

HELP = "read, check and split the field's data sets"
DESCRIPTION = (
    "Reads the field's data sets in their makers' layout into one manifest, "
    "which `scan`, `evaluate` and `train` take."
)
SPLITTINGS = ("person", "within", "cross-forgery", "cross-domain", "both", "left-out")


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's own commands."""
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
    _add_frames(commands)


def _add_frames(commands: Verbs) -> None:
    frames = commands.add_parser(
        "frames",
        help="write a manifest's faces as pictures, for detectors of single frames",
        description="Writes 32 faces of each video, 256 pixels a side, and lists of them, by "
        "DeepfakeBench's contract. What was written before is not made again.",
    )
    clips = commands.add_parser(
        "clips",
        help="make clips of a manifest's folders of frames, so that they can be judged",
        description="Makes a clip of each folder of frames, 25 frames a second, and a manifest of "
        "the clips, which `scan` and `evaluate` take.",
    )
    for command in (frames, clips):
        command.add_argument("manifest", type=Path, metavar="MANIFEST", help="what to read")
        command.add_argument(
            "--out", type=Path, required=True, metavar="DIR", help="the folder to write into"
        )


def _add_split(commands: Verbs) -> None:
    split = commands.add_parser(
        "split",
        help="split a manifest so that no person crosses, or by a protocol",
        description="By person: everyone is in one split alone. By one of DF40's protocols: "
        "training sees --methods in --domain; the test has other methods (cross-forgery), other "
        "domains (cross-domain), both, or neither (within). Left-out: --domain is tested, the "
        "others are learned from.",
    )
    split.add_argument("manifest", type=Path, metavar="MANIFEST", help="what `manifest` wrote")
    add_columns(split)
    split.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .csv to write")
    split.add_argument("--by", choices=SPLITTINGS, default="person", help="(default person)")
    split.add_argument(
        "--shares", nargs=3, type=float, default=(0.7, 0.1, 0.2), metavar="SHARE",
        help="of clips in train, val and test (default 0.7 0.1 0.2)",
    )  # fmt: skip
    split.add_argument("--seed", type=int, default=0, metavar="S", help="(default 0)")
    split.add_argument("--methods", nargs="+", default=[], metavar="METHOD", help="of training")
    split.add_argument("--domain", default="", metavar="DOMAIN", help="of training")


def run(options: Namespace) -> int:
    """Run the command and print its result; the exit code tells whether all is well."""
    commands = {
        "list": _list, "manifest": _manifest, "validate": _validate, "split": _split,
        "frames": _frames, "clips": _clips,
    }  # fmt: skip
    return OK if commands[options.command](options) else FAILED


def _list(options: Namespace) -> bool:
    from rich.console import Console
    from rich.table import Table

    from pipelines.data.catalogue import DATASETS

    table = Table("name", "data set", "tracks", "licence", "note", box=None, pad_edge=False)
    for name, dataset in DATASETS.items():
        table.add_row(name, dataset.title, dataset.tracks, dataset.licence, dataset.note)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a pipe or a file has no width: leave the lines whole
    console.print(table)
    return True


def _manifest(options: Namespace) -> bool:
    from avdetect.terminal.tables import printable
    from pipelines.data.catalogue import records_of
    from pipelines.data.manifest import write_records

    count = write_records(options.out, records_of(options.name, options.root), options.root)
    print(f"{count} records are in {printable(str(options.out))}")
    return True


def _validate(options: Namespace) -> bool:
    from avdetect.terminal.output import progress
    from pipelines.data.catalogue import records_of
    from pipelines.data.checks import check_records

    records = records_of(options.name, options.root)
    with progress(str(options.root), long=1) as on_step:
        counts = check_records(records, options.root, not options.quick, on_step=on_step)
    print(json.dumps(counts, indent=2, ensure_ascii=False))
    return not any(counts[kind] for kind in ("missing", "unreadable", "inconsistent"))


def _split(options: Namespace) -> bool:
    from avdetect.terminal.tables import printable
    from pipelines.data.manifest import read_records, write_records
    from pipelines.data.splits import protocol_records, split_by_person

    records, left_out = list(read_records(options.manifest, columns_of(options))), 0
    if options.by == "person":
        records, left_out = split_by_person(records, tuple(options.shares), options.seed)
    else:
        records = protocol_records(records, options.by, options.methods, options.domain)
    write_records(options.out, records, options.manifest.parent)
    print(f"{len(records)} records are in {printable(str(options.out))}, {left_out} left out")
    return True


def _frames(options: Namespace) -> bool:
    from avdetect.terminal.output import progress, quiet_libraries
    from pipelines.data.manifest import read_records
    from pipelines.features.face_frames import write_face_frames

    records = list(read_records(options.manifest))
    with quiet_libraries(), progress(str(options.manifest), long=1) as on_step:
        counts = write_face_frames(records, options.manifest.parent, options.out, on_step)
    print(json.dumps(counts, indent=2))
    return not counts["unreadable"]


def _clips(options: Namespace) -> bool:
    from dataclasses import replace

    from avdetect.terminal.output import progress
    from avdetect.terminal.tables import printable
    from pipelines.data.manifest import read_records, write_records
    from pipelines.public_sets.frame_clips import clip_of_frames

    records, root = list(read_records(options.manifest)), options.manifest.absolute().parent
    with progress(str(options.manifest), long=1) as on_step:
        for done, record in enumerate(records, 1):
            placed = replace(record, path=str(root / record.path))
            records[done - 1] = clip_of_frames(placed, options.out)
            on_step(done, len(records))
    options.out.mkdir(parents=True, exist_ok=True)
    manifest = options.out / "manifest.csv"
    write_records(manifest, records, options.out)
    print(f"{len(records)} records are in {printable(str(manifest))}")
    return True
