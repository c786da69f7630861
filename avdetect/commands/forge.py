"""`avdetect forge`: make forged clips, with exact truth, from real ones."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from pathlib import Path

from avdetect.commands.options import OK, UsageError, add_columns, columns_of, count

HELP = "make forged training clips out of real ones"
DESCRIPTION = "Manipulates real videos in known places and writes the clips with their exact truth."


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's options."""
    verb.add_argument(
        "real",
        type=Path,
        metavar="REAL",
        help="folder of real clips, or a manifest of which the real ones are taken",
    )
    add_columns(verb)
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    verb.add_argument(
        "--per-video", type=count, default=3, metavar="N", help="forgeries a video (default 3)"
    )
    verb.add_argument(
        "--seed", type=int, default=0, metavar="S", help="same seed, same clips (default 0)"
    )
    verb.add_argument("--workers", type=count, default=1, metavar="N", help="processes (default 1)")
    verb.add_argument(
        "--splits", type=Path, metavar="FILE", help="list of sources that splits a manifest"
    )
    verb.add_argument(
        "--split", default="train", help="which split of the manifest (default train)"
    )


def run(options: Namespace) -> int:
    """Forge, and print where the clips are."""
    if not options.real.exists():
        raise UsageError(f"{options.real}: no such folder or manifest")
    from avdetect.terminal.output import progress
    from avdetect.terminal.tables import printable
    from pipelines.data.samples import genuine_clips
    from pipelines.forge.directory import forge_directory
    from pipelines.taxonomy import taxonomy

    with progress(str(options.real), long=1) as on_step:
        persons = None
        if options.real.is_file():
            persons = genuine_clips(
                options.real, options.splits, options.split, columns_of(options)
            )
        rows = forge_directory(
            options.real if persons is None else list(persons),
            options.out,
            options.per_video,
            options.seed,
            persons=None if persons is None else {p.name: who for p, who in persons.items()},
            split=options.split,
            workers=options.workers,
            on_step=on_step,
        )
    kinds = Counter(kind for row in rows for kind, _ in taxonomy().made_by(row["method"]))
    print(f"{len(rows)} clips and their truth are in {printable(str(options.out))}")
    for kind, clips in kinds.most_common():
        print(f"{clips:6} {kind}")
    return OK
