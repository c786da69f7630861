"""`avdetect scan --mutual`: the files of a corpus that are least like the others."""

from __future__ import annotations

from argparse import Namespace

from rich.console import Console
from rich.table import Table

from avdetect.commands.options import columns_of
from avdetect.terminal.corpus import corpus_progress
from avdetect.terminal.output import complain
from avdetect.terminal.tables import printable
from pipelines.detection.starter import STARTER
from pipelines.mutual.scan import MutualConfig, scan_mutual
from temporal.mutual import guard

SHOWN = 20  # files
MEANING = (
    "This finds artefacts that few of the files have. One that more than three in ten share goes "
    "unseen. A score compares files of this run; it is no probability."
)


def compare_corpus(options: Namespace) -> bool:
    """Print the files that are least like the others; return whether any file failed.

    Raises:
        SourceError, ResultError, PoolError, OSError, ValueError: see `scan_mutual`.
    """
    config = MutualConfig(
        options.mutual, options.weights or STARTER, options.workers, options.fresh,
        options.address, options.limit, columns_of(options),
    )  # fmt: skip
    with corpus_progress() as (on_begin, on_progress):
        summary = scan_mutual(options.source, options.out, config, on_begin, on_progress)
    table = Table("file", "score", "most peculiar at", "peers")
    for row in summary.rows[:SHOWN]:
        second, peers = f"{row['second']:.2f} s", str(row["peers"])
        table.add_row(printable(row["path"]), f"{row['score']:.3f}", second, peers)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(table)
    where = printable(str(summary.file))
    console.print(f"{len(summary.rows)} files compared; all of them: {where}")
    console.print(MEANING)
    for cause in summary.failed.values():
        complain(cause)
    warning = guard(summary.common, len(summary.rows))
    if warning:
        complain(warning)
    return bool(summary.failed)
