"""What the command writes to: standard output and error, a bar, a file of JSON lines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from errno import EEXIST
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from avdetect.terminal.tables import printable, verdict_table
from pipelines.detection.result import Result

WriteRow = Callable[[Mapping[str, Any]], None]


LONG = 750  # steps (30 s) from which on a bar is worth showing


def json_lines(name: str | None) -> AbstractContextManager[WriteRow]:
    """Return a context whose value writes one dict as a line of JSON to the file of that name.

    `-` is standard output, None nowhere. A file that holds something else than JSON, such as a
    video named by mistake, is not touched.

    Raises:
        OSError: the file cannot be written, or holds something else.
    """
    if name is None:
        return nullcontext(lambda row: None)
    if name == "-":
        return nullcontext(partial(_write_row, sys.stdout))
    path = Path(name)
    if path.is_file():
        with path.open("rb") as old:
            if old.read(1) not in (b"", b"{"):
                raise OSError(EEXIST, "holds something else than JSON, so it is left alone", name)
    return _closing(path.open("w", encoding="utf-8"))


@contextmanager
def _closing(file: TextIO) -> Iterator[WriteRow]:
    with file:
        yield partial(_write_row, file)


def _write_row(file: TextIO, row: Mapping[str, Any]) -> None:
    file.write(json.dumps(row, allow_nan=False) + "\n")
    file.flush()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Send what C++ libraries write to standard error into nothing; Python's own stays.

    MediaPipe logs there whatever its settings say. AVDETECT_NATIVE_LOG=1 lets it through.
    """
    if os.environ.get("AVDETECT_NATIVE_LOG"):
        yield
        return
    own, kept = sys.stderr, os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    own.flush()
    os.dup2(nothing, 2)
    try:
        with open(kept, "w", buffering=1, errors="backslashreplace", closefd=False) as stderr:
            if own is sys.__stderr__:  # a replaced one, as in tests, does not write there
                sys.stderr = stderr
            yield
    finally:
        sys.stderr = own
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


@contextmanager
def progress(name: str, long: int = LONG) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback for (done, total) steps, which draws a bar on a terminal for long work."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(escape(printable(Path(name).name)), total=None)

    def on_step(done: int, total: int) -> None:
        if total >= long:
            bar.start()
            bar.update(task, completed=done, total=total)

    try:
        yield on_step
    finally:
        bar.stop()


def print_verdict(result: Result, written: Sequence[Path] = ()) -> None:
    """Print a file's result as a table, and below it what was written about the file."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a pipe or a file has no width: leave the lines whole
    console.print(verdict_table(result))
    for path in written:
        console.print(f"  written: {printable(str(path))}", markup=False, soft_wrap=True)
    console.print()


def print_second_opinions(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what parts of the zoo say of the file whose verdict is above."""
    if not rows:
        return
    console = Console(highlight=False)
    console.print("  parts of the zoo, of which none enters the verdict:")
    for row in rows:
        said = row["error"] or f"{row['score']:.2f}"
        line = f"    {row['part']} ({row['title']}; {row['modality']}): {said}"
        console.print(printable(line), markup=False, soft_wrap=True)
    console.print()


def complain(message: str) -> None:
    """Print one sentence to standard error."""
    sys.stderr.write(f"avdetect: {printable(message)}\n")
