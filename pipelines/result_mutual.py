"""Rows of files compared with each other in, a Parquet file that is whole or absent out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.result_schema import Row
from pipelines.whole_file import write_whole

SCHEMA = pa.schema(
    {
        "path": pa.string(), "status": pa.string(), "error_message": pa.string(),
        "score": pa.float64(), "second": pa.float64(), "peers": pa.int64(), "common": pa.bool_(),
        "group": pa.int64(),
    },
    metadata={"avdetect.mutual": "1"},
)  # fmt: skip


def write_scores(file: Path, rows: Sequence[Row]) -> None:
    """Write the rows; a column that a row lacks is null."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows), SCHEMA), sink)
    write_whole(file, sink.getvalue())
