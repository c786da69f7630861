"""A scan as people see it: its plan, how far it is, and what came out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from avdetect.terminal.tables import STYLES, printable
from pipelines.report.wording import clock
from pipelines.scan.corpus import Beginning
from pipelines.scan.loop import Progress
from pipelines.scan.plan import Plan
from pipelines.scan.summary import Summary

LINE_SECONDS = 30.0  # between two lines, where nobody watches


@contextmanager
def corpus_progress() -> Iterator[tuple[Callable[[Beginning], None], Callable[[Progress], None]]]:
    """Yield callbacks for a scan's beginning and progress: a bar on a terminal, else plain lines.

    Both write to standard error.
    """
    if sys.stderr.isatty():
        with _bar() as callbacks:
            yield callbacks
        return
    last = time.monotonic()

    def on_progress(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS or progress.done == progress.total:
            last = time.monotonic()
            _say(f"{progress.done}/{progress.total} videos, {_pace(progress)}")

    yield (lambda beginning: _say(printable(_opening(beginning)))), on_progress


@contextmanager
def _bar() -> Iterator[tuple[Callable[[Beginning], None], Callable[[Progress], None]]]:
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    task: TaskID | None = None
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:

        def on_begin(beginning: Beginning) -> None:
            nonlocal task
            bar.console.print(printable(_opening(beginning)), markup=False, highlight=False)
            task = bar.add_task("starting", total=beginning.todo)

        def on_progress(progress: Progress) -> None:
            if task is not None:
                bar.update(
                    task,
                    completed=progress.done,
                    total=progress.total,
                    description=_pace(progress),
                )

        yield on_begin, on_progress


def plan_text(plan: Plan) -> Text:
    """Return a plan in words."""
    return Text(str(plan))


def summary_table(summary: Summary) -> RenderableType:
    """Return how many were judged as what, how many failed of what, and how fast it went."""
    table = Table.grid(padding=(0, 2))
    table.add_row("videos", str(summary["videos"]))
    for verdict, count in summary["verdicts"].items():
        table.add_row(Text(verdict, STYLES[verdict]), str(count))
    for cause, count in summary["causes"].items():
        table.add_row(Text(f"failed: {printable(cause)}", "yellow"), str(count))
    run = summary["run"]
    pace = "nothing was left to do"
    if run["videos"]:
        pace = f"{run['videos']} videos in {clock(run['seconds'])}"
        pace += f", {run['videos_per_hour']:.0f} an hour"
    lines = (Text(f"this run: {pace}"), Text(f"results: {printable(summary['results'])}"))
    return Group(table, *(Padding(line, 0, expand=False) for line in lines))


def _opening(beginning: Beginning) -> str:
    already = f"{beginning.already} judged already, " if beginning.already else ""
    plan = f"; {beginning.plan}" if beginning.plan else ""
    return f"{already}{beginning.todo} to do{plan}"


def _pace(progress: Progress) -> str:
    """Return rate, failures and time left in words."""
    left = progress.left
    ending = f", {clock(left)} left" if left else ""
    return f"{60 * progress.rate:.1f} a minute, {progress.failed} failed{ending}"


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
