"""Files that are still being written: by another program, or from standard input."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pipelines.storage.local_copy import PIECE, STANDARD_INPUT, ScratchError, scratch_folder

IsComplete = Callable[[], bool]


@contextmanager
def growing_file(source: str, patience: float) -> Iterator[tuple[Path, IsComplete]]:
    """Yield a file that may still grow, and a function that tells whether it is complete.

    Args:
        source: a path, or `-` for standard input, which is copied while it comes.
        patience: seconds without growth after which a file counts as complete. A copy of standard
            input is complete when that has ended.
    """
    if source != STANDARD_INPUT:
        yield Path(source), Unchanged(Path(source), patience)
        return
    folder = scratch_folder()
    try:
        copy = _Copy(sys.stdin.buffer, folder / "standard_input")
        copy.start()
        yield copy.target, copy.finished
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Unchanged:
    """Whether a file has not changed its size for some seconds; one that is not there has none."""

    def __init__(
        self, path: Path, patience: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._patience, self._clock = path, patience, clock
        self._size, self._since = self._measure(), clock()

    def __call__(self) -> bool:
        size, now = self._measure(), self._clock()
        if size != self._size:
            self._size, self._since = size, now
        return now - self._since >= self._patience

    def _measure(self) -> int | None:
        return self._path.stat().st_size if self._path.exists() else None


class _Copy(threading.Thread):
    """Copies a stream to a file in the background, each piece as soon as it comes."""

    def __init__(self, source: BinaryIO, target: Path) -> None:
        super().__init__(daemon=True)  # it may wait for a piece that never comes
        self._source, self.target = source, target
        self._error: OSError | None = None
        target.touch()

    def run(self) -> None:
        try:
            with self.target.open("wb", buffering=0) as copy:
                while piece := self._source.read1(PIECE):  # type: ignore[attr-defined]
                    copy.write(piece)
        except OSError as error:
            self._error = error

    def finished(self) -> bool:
        """Return whether all is copied; raises ScratchError if it cannot be."""
        if self.is_alive():
            return False
        if self._error is not None:
            cause = f"standard input cannot be copied ({self._error.strerror})"
            raise ScratchError(f"{self.target.parent}: {cause}")
        return True
