"""A video's result in, a row out, and what a row of `results/` and `timelines/` is: schema 1."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

Row = dict[str, Any]


SCHEMA = 1
MODALITIES = ("visual", "audio", "sync")


_SPAN = [("start", pa.float64()), ("end", pa.float64()), ("score", pa.float64())]
FIELDS: dict[str, pa.DataType] = {
    "path": pa.string(),  # as the source names it: the key
    "status": pa.string(),  # ok or error
    "error_type": pa.string(),  # null where status is ok; the rest is null where it is error
    "error_message": pa.string(),
    "sha256": pa.string(),  # of the file's bytes
    "verdict": pa.string(),  # real, fake or inconclusive
    "score": pa.float64(),  # scores: probability of fake; null: could not be judged
    "visual_score": pa.float64(),
    "audio_score": pa.float64(),
    "sync_score": pa.float64(),
    "segments": pa.list_(pa.struct([*_SPAN, ("modality", pa.string())])),  # seconds, best first
    "streams": pa.list_(pa.string()),  # what there was to be judged
    "faces": pa.list_(pa.struct([("track", pa.int64()), *_SPAN])),
    "media": pa.struct(
        [
            ("duration", pa.float64()),
            ("width", pa.int64()),
            ("height", pa.int64()),
            ("fps", pa.float64()),
            ("video_codec", pa.string()),
            ("audio_codec", pa.string()),
            ("sample_rate", pa.int64()),
            ("video_bit_rate", pa.int64()),
            ("video_span", pa.list_(pa.float64())),  # seconds: start and end
            ("audio_tracks", pa.list_(pa.string())),
            ("audio_spans", pa.list_(pa.list_(pa.float64()))),
        ]
    ),
    "warnings": pa.list_(pa.string()),
    "model": pa.struct([(name, pa.string()) for name in ("name", "version", "sha256")]),
    "elapsed": pa.struct(
        [(name, pa.float64()) for name in ("decode", "extract", "judge", "total")]
    ),
    "seconds": pa.float64(),  # that a worker was busy with it, fetching included
    "tries": pa.int64(),  # 2: a worker was lost over it once
    "judged_at": pa.timestamp("ms", tz="UTC"),
}
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
    """Return what a manifest's column is called in the results: itself, unless that is taken."""
    return f"manifest_{name}" if name in FIELDS or name in CURVES else name


def flat_row(result: dict[str, Any], extra: dict[str, Any]) -> Row:
    """Return a result of schema 1 (see `Verdict.to_dict`) as a row."""
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
    """Return the text as Parquet can hold it: bytes of a name that are no UTF-8 written out."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")
