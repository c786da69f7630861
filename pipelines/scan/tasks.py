"""The tasks of a scan, and the pieces of long videos, kept on disk until they can be joined.

So a scan that is killed within a film resumes within it, and neither the driver's memory nor the
object store grows with the films.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.results.result_set import ResultError, key_of
from pipelines.storage.files import write_whole


@dataclass(frozen=True)
class Task:
    """A worker's unit of work: judge a video or one of its shards, or join its pieces."""

    path: str
    span: range | None = None  # steps of the shard
    pieces: tuple[Path, ...] = ()  # files of all of its pieces, where they are to be joined

    def contents(self) -> list[bytes]:
        """Return the contents of the piece files."""
        return [file.read_bytes() for file in self.pieces]


class PieceStore:
    """The pieces of unfinished videos, in a folder that is created with the first of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def left(self, path: str, spans: Sequence[range]) -> list[Task]:
        """Return the remaining tasks of a video: its missing shards, or else their joining."""
        files = tuple(self._file(path, span) for span in spans)
        missing = [s for s, file in zip(spans, files, strict=True) if not file.exists()]
        return [Task(path, span) for span in missing] or [Task(path, None, files)]

    def keep(self, path: str, span: range, piece: bytes) -> None:
        """Keep the piece of a shard.

        Raises:
            ResultError: it cannot be written.
        """
        try:
            self._folder.mkdir(exist_ok=True)
            write_whole(self._file(path, span), piece)
        except OSError as error:
            cause = f"the pieces of long videos cannot be written ({error.strerror})"
            raise ResultError(f"{self._folder}: {cause}") from error

    def forget(self, path: str, spans: Sequence[range]) -> None:
        """Remove the pieces of a video that has its row."""
        for span in spans:
            self._file(path, span).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder, when every video has its row."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, path: str, span: range) -> Path:
        return self._folder / f"{key_of(path):016x}-{span.start}-{span.stop}.safetensors"
