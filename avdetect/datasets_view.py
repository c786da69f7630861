"""What `avdetect datasets` does and prints."""

from __future__ import annotations

import json
from argparse import Namespace

from rich.console import Console
from rich.table import Table

from avdetect.terminal.output import progress
from avdetect.terminal.tables import printable


def run_datasets(options: Namespace) -> bool:
    """Return whether all is well with what was asked for, and print it.

    Raises:
        ValueError, OSError: a name, a folder or a file cannot be used.
    """
    commands = {"list": _list, "manifest": _manifest, "validate": _validate, "split": _split}
    return commands[options.command](options)


def _list(options: Namespace) -> bool:
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
    from pipelines.data.catalogue import records_of
    from pipelines.data.manifest import write_records

    count = write_records(options.out, records_of(options.name, options.root), options.root)
    print(f"{count} records are in {printable(str(options.out))}")
    return True


def _validate(options: Namespace) -> bool:
    from pipelines.data.catalogue import records_of
    from pipelines.data.checks import check_records

    records = records_of(options.name, options.root)
    with progress(str(options.root), long=1) as on_step:
        found = check_records(records, options.root, not options.quick, on_step=on_step)
    print(json.dumps(found, indent=2, ensure_ascii=False))
    return not any(found[kind] for kind in ("missing", "unreadable", "inconsistent"))


def _split(options: Namespace) -> bool:
    from pipelines.data.manifest import read_records, write_records
    from pipelines.data.splits import protocol_records, split_by_person

    records, left_out = list(read_records(options.manifest)), 0
    if options.by == "person":
        records, left_out = split_by_person(records, tuple(options.shares), options.seed)
    else:
        records = protocol_records(records, options.by, options.methods, options.domain)
    write_records(options.out, records, options.manifest.parent)
    print(f"{len(records)} records are in {printable(str(options.out))}, {left_out} left out")
    return True
