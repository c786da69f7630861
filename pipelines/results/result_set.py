"""The result set of a scan: Parquet files that are whole or absent, and a journal of recent rows.

A result set belongs to one model, one configuration and one schema; anything else gets a set of
its own. In its folder:

    set.json         the identity of the set: model, configuration, schema
    results/         part-*.parquet, one row per video: `row_schema.FIELDS`
    timelines/       part-*.parquet, one row per judged video, if requested
    pending.arrows   rows of the last minutes, not yet in a part
    summary.json     the summary of all rows

Every row is in `pending.arrows` before the next video is started, and moves from there into a part.
A process that is killed in between leaves a row in both at worst; it is read once when the set is
opened again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from extractors.errors import AvdetectError
from pipelines.detection.result import SCHEMA
from pipelines.results.journal import Journal, journal_rows
from pipelines.results.row_schema import (
    CURVES,
    FIELDS,
    TIMELINE_SCHEMA,
    Row,
    readable,
    result_schema,
)
from pipelines.storage.files import write_whole
from pipelines.storage.local_copy import hold

PART_ROWS = 1000  # a part is written when this many rows wait,
PART_SECONDS = 300.0  # or when the first of them has waited this long


class ResultError(AvdetectError):
    """The results cannot be kept. The message is one sentence that names the place and cause."""


class ResultSet:
    """A folder of results, open for one scan at a time. Close it, or use it in a `with`."""

    def __init__(
        self, out: Path, identity: dict[str, Any], extra: Sequence[tuple[str, pa.DataType]] = ()
    ) -> None:
        """Open or create the set of an identity in `out`.

        Raises:
            ResultError: it cannot be written, another scan writes to it, or it has other columns.
        """
        self.timelines = bool(identity.get("timelines"))
        self.folder = out / set_name(identity)
        self._lock: int | None = None
        try:
            for name in ("results", "timelines") if self.timelines else ("results",):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            self._lock = hold(self.folder / ".lock")
            if self._lock is None:
                raise ResultError(f"{self.folder}: another scan is writing there")
            self.schema = self._claim(identity, extra)
            own = [f for f in self.schema if f.name not in FIELDS]
            self._texts = [f.name for f in own if f.type == pa.string()]  # of a manifest
            self._remove_halves()
            self._keys = set(map(key_of, self._paths()))
            self._waiting: list[Row] = []
            self._recover()
        except (OSError, pa.ArrowException, ResultError) as error:
            self._unlock()
            raise _failure(self.folder, error) from error

    @property
    def pending(self) -> Path:
        """The file of rows that are in no part yet."""
        return self.folder / "pending.arrows"

    def __contains__(self, path: str) -> bool:
        return key_of(readable(path)) in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, row: Row) -> None:
        """Add a row durably; a row of a path that has one already is ignored.

        Raises:
            ResultError: it cannot be written.
        """
        if row["path"] in self:
            return
        row = row | {name: str(row[name]) for name in self._texts if row.get(name) is not None}
        try:
            self._journal.add(row)
            self._keys.add(key_of(row["path"]))
            self._waiting.append(row)
            late = time.monotonic() - self._since > PART_SECONDS
            if len(self._waiting) >= PART_ROWS or late:
                self._write_part()
        except (OSError, pa.ArrowException) as error:
            raise _failure(self.folder, error) from error

    def finish(self) -> None:
        """Write the waiting rows into a part.

        Raises:
            ResultError: it cannot be written.
        """
        try:
            self._write_part()
        except (OSError, pa.ArrowException) as error:
            raise _failure(self.folder, error) from error

    def close(self) -> None:
        """Write the waiting rows into a part and release the lock.

        Raises:
            ResultError: it cannot be written.
        """
        if self._lock is None:
            return
        try:
            self._write_part()
            self._journal.close()
            self.pending.unlink(missing_ok=True)
        except (OSError, pa.ArrowException) as error:
            raise _failure(self.folder, error) from error
        finally:
            self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> ResultSet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _whole(self) -> pa.Schema:
        """The columns of both datasets."""
        return pa.schema([*self.schema, *(pa.field(n, k) for n, k in CURVES.items())])

    def _claim(
        self, identity: dict[str, Any], extra: Sequence[tuple[str, pa.DataType]]
    ) -> pa.Schema:
        """Return the set's schema: the requested one for a new set, its own for an existing one.

        A set of an older avdetect is continued without the columns that were added since.
        """
        path = self.folder / "set.json"
        schema_file = self.folder / ".schema"
        wanted = result_schema(extra)
        if schema_file.exists():
            own = pa.ipc.read_schema(pa.py_buffer(schema_file.read_bytes()))
            needed = [f for f in wanted if f.name in own.names or f.name not in FIELDS]
            new = [f"{f.name} ({f.type})" for f in needed if f not in own]
            if new:
                raise ResultError(
                    f"{self.folder}: has no column {', '.join(new)}, which the manifest brings; "
                    "give another --out, or --fresh to begin anew"
                )
            return own
        write_whole(schema_file, wanted.serialize().to_pybytes())
        write_whole(path, (json.dumps(identity, indent=1) + "\n").encode())
        return wanted

    def _remove_halves(self) -> None:
        """Remove what a killed scan left: partial files, and timelines without results."""
        for path in self.folder.rglob("*.partial"):
            path.unlink()
        for path in (self.folder / "timelines").glob("part-*.parquet"):
            if not (self.folder / "results" / path.name).exists():
                path.unlink()

    def _paths(self) -> Iterator[str]:
        for batch in self.read(["path"]):
            yield from batch.column("path").to_pylist()

    def read(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield these columns of all finished parts, piece by piece."""
        for part in sorted((self.folder / "results").glob("part-*.parquet")):
            with pq.ParquetFile(part) as file:
                yield from file.iter_batches(columns=list(columns))

    def _recover(self) -> None:
        """Write the journal of a killed scan into a part, and start a new journal."""
        rows: list[Row] = []
        if self.pending.exists():
            rows = [row for row in journal_rows(self.pending) if row["path"] not in self]
        self._keys |= {key_of(row["path"]) for row in rows}
        self._waiting = rows
        if rows:
            self._write_rows()
        self._begin_journal()

    def _begin_journal(self) -> None:
        self._journal = Journal(self.pending, self._whole)
        self._since = time.monotonic()
        self._waiting = []

    def _write_part(self) -> None:
        if self._waiting:
            self._write_rows()
            self._journal.close()
            self._begin_journal()
        self._since = time.monotonic()

    def _write_rows(self) -> None:
        """Write the waiting rows as a part of each dataset; the results come last and commit it."""
        name = f"part-{time.time_ns() // 1_000_000:013d}-{uuid.uuid4().hex[:8]}.parquet"
        if self.timelines:
            judged = [row for row in self._waiting if row["status"] == "ok"]
            self._write_table("timelines", name, judged, TIMELINE_SCHEMA)
        self._write_table("results", name, self._waiting, self.schema)

    def _write_table(self, kind: str, name: str, rows: list[Row], schema: pa.Schema) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema), sink, compression="zstd")
        write_whole(self.folder / kind / name, sink.getvalue())


def set_name(identity: dict[str, Any]) -> str:
    """Return the name of the folder of an identity: the model's name and a digest."""
    text = json.dumps({"schema": SCHEMA, **identity}, sort_keys=True)
    name = str(identity["model"]["name"]).replace("/", "_")
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def key_of(path: str) -> int:
    """Return a 64-bit hash of a path: ten million of them fit in memory."""
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=8).digest())


def _failure(folder: Path, error: Exception) -> ResultError:
    if isinstance(error, ResultError):
        return error
    cause = getattr(error, "strerror", None) or str(error)
    return ResultError(f"{folder}: the results cannot be written ({cause})")
