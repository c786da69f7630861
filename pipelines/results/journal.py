"""A journal of rows: each is on disk before the next, and readable after a crash of the writer."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from pipelines.results.row_schema import Row


class Journal:
    """A file of rows that is created empty and grows row by row."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._file = path.open("wb")
        self._stream = pa.ipc.new_stream(self._file, schema)
        self._file.flush()

    def add(self, row: Row) -> None:
        """Append a row and flush it to the operating system."""
        self._stream.write(pa.RecordBatch.from_pylist([row], self._schema))
        self._file.flush()

    def close(self) -> None:
        """End the file."""
        with suppress(OSError, pa.ArrowException):  # a full disk, where the parts are safe already
            self._stream.close()
        self._file.close()


def journal_rows(path: Path) -> Iterable[Row]:
    """Return the journal's complete rows, also if the writer was killed."""
    rows: list[Row] = []
    with suppress(OSError, pa.ArrowException), pa.OSFile(str(path)) as file:
        for batch in pa.ipc.open_stream(file):
            rows += batch.to_pylist()
    return rows
