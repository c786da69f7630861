"""The columns of a scan's Parquet files: the fields of schema 1, and what the scan adds."""

from __future__ import annotations

import os
import types
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pyarrow as pa
from typing_extensions import TypedDict, is_typeddict

from pipelines.detection.result import SCHEMA, Cause, Result
from temporal.segment import MODALITIES

Row = dict[str, Any]


class ScanFacts(TypedDict):
    """The columns that a scan adds to a video's result."""

    seconds: float  # that a worker was busy with it, fetching included
    tries: int  # 2: a worker was lost over it once
    judged_at: datetime


def arrow_type(hint: Any) -> pa.DataType:
    """Return the Arrow type of a field of schema 1; any column may be null.

    >>> str(arrow_type(list[float | None]))
    'list<item: double>'
    """
    if is_typeddict(hint):
        return pa.struct([(n, arrow_type(field)) for n, field in get_type_hints(hint).items()])
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, inner = get_origin(hint), [a for a in get_args(hint) if a is not type(None)]
    if origin is list:
        return pa.list_(arrow_type(inner[0]))
    if origin is Literal:
        return arrow_type(type(inner[0]))
    if origin in (Union, types.UnionType) and len(inner) == 1:
        return arrow_type(inner[0])
    raise TypeError(f"schema 1 has no columns of {hint}")


_PLAIN = {
    str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64(),
    datetime: pa.timestamp("ms", tz="UTC"),
}  # fmt: skip


def _columns() -> dict[str, pa.DataType]:
    """Return the columns of a result: `path` is the key, `status` is ok or error.

    For an error, `error_type` and `error_message` give the cause, and the other fields are null.
    """
    fields = get_type_hints(Result)
    first = {name: arrow_type(fields.pop(name)) for name in ("path", "status")}
    causes = {f"error_{n}": arrow_type(hint) for n, hint in get_type_hints(Cause).items()}
    fields |= {"streams": list[str]}  # the names of those that were present
    elsewhere = {"schema", "error", "timeline"}  # in the metadata, above, and in a file of its own
    rest = {n: arrow_type(hint) for n, hint in fields.items() if n not in elsewhere}
    facts = {n: arrow_type(hint) for n, hint in get_type_hints(ScanFacts).items()}
    return {**first, **causes, **rest, **facts}


FIELDS = _columns()
CURVES: dict[str, pa.DataType] = {
    "rate": pa.float64(),  # steps a second
    **{modality: pa.list_(pa.float32()) for modality in MODALITIES},  # null: not judged
}
TIMELINE_SCHEMA = pa.schema(
    {"path": pa.string(), "sha256": pa.string(), **CURVES},
    metadata={"avdetect.schema": str(SCHEMA)},
)


def result_schema(extra: Sequence[tuple[str, pa.DataType]] = ()) -> pa.Schema:
    """Return the schema of `results/`, with the columns that a manifest adds."""
    columns = {**FIELDS, **{column_name(name): kind for name, kind in extra}}
    return pa.schema(columns, metadata={"avdetect.schema": str(SCHEMA)})


def column_name(name: str) -> str:
    """Return the name of a manifest's column in the results: `manifest_NAME` if it is taken."""
    return f"manifest_{name}" if name in FIELDS or name in CURVES else name


def flat_row(result: Mapping[str, Any], extra: Mapping[str, Any]) -> Row:
    """Return a `Result` or `Failure`, with the scan's facts, as a row."""
    row = {name: result.get(name) for name in FIELDS}
    row["path"] = readable(result["path"])
    row |= result.get("timeline") or {}
    row |= {column_name(name): value for name, value in extra.items()}
    if result.get("error"):
        row |= {f"error_{name}": readable(text) for name, text in result["error"].items()}
    if result.get("streams") is not None:
        row["streams"] = [name for name, there in result["streams"].items() if there]
    return row


def readable(text: str) -> str:
    """Return the text with bytes that are not UTF-8 escaped, so that Parquet can hold it."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")
