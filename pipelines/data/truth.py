"""Ground truth for evaluation, from a manifest or the metadata of a forging or a data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from extractors.errors import InputError
from pipelines.data.layouts.reading import json_of
from pipelines.data.manifest import as_spans
from pipelines.data.samples import Sample, Splits, read_manifest, read_splits
from pipelines.data.segment_truth import read_segments
from pipelines.storage.tables import OUR_NAMES, TABLES, Columns
from temporal.segment import MODALITIES


def read_truth(
    path: Path,
    splits: Path | None = None,
    columns: Columns = OUR_NAMES,
    fps: float = 25.0,
) -> list[Sample]:
    """Return the samples in a file of ground truth, in any of the known formats.

    Args:
        path: a manifest (.csv, .tsv, .jsonl, .parquet), or the metadata (.json, .txt) of a forging,
            LAV-DF, AV-Deepfake1M, ActivityNet or ForgeryNet.
        splits: a list of sources, as for training: only a manifest's clips of dev are taken.
        columns: the manifest's names of our columns.
        fps: frame rate of ForgeryNet's labels, which are in frames; its list has no rate.

    Raises:
        InputError: the file has none of these formats, or names no clip.
        OSError: it cannot be opened.
    """
    samples = _samples(path, splits, columns, fps)
    if not samples:
        where = "" if splits is None else f" of the split dev by {splits}"
        raise InputError(f"{path}: names no clip{where}")
    for sample in samples:
        if any(end < start for start, end in sample.any or ()):
            raise InputError(f"{path}: {sample.path.name}: a segment ends before its start")
    return samples


def _samples(path: Path, splits: Path | None, columns: Columns, fps: float) -> list[Sample]:
    suffix = path.suffix.lower()
    if suffix in TABLES:
        samples = read_manifest(path, Splits() if splits is None else read_splits(splits), columns)
        return samples if splits is None else [s for s in samples if s.split == "dev"]
    if suffix not in (".json", ".txt"):
        raise InputError(
            f"{path}: expected a manifest ({', '.join(TABLES)}) or metadata (.json, .txt) as truth"
        )
    entries = json_of(path) if suffix == ".json" else None
    if isinstance(entries, list) and entries and all(_is_forged(entry) for entry in entries):
        return read_forged(path)
    return _dataset_samples(path, entries, fps)


def _is_forged(entry: Any) -> bool:
    """Return whether an entry is of our own forging, which alone has a person."""
    return isinstance(entry, dict) and "person" in entry


def _dataset_samples(path: Path, entries: Any, fps: float) -> list[Sample]:
    """Return the samples of a data set's own metadata."""
    segments, _ = read_segments(path, fps)
    facts = {e["file"]: e for e in entries} if isinstance(entries, list) else {}
    samples = []
    for name, rows in segments.items():
        spans, entry = as_spans(rows.tolist()), facts.get(name, {})
        tracks: dict[str, Any] = {"visual": (), "audio": ()}
        if {"visual_fake_segments", "audio_fake_segments"} <= set(entry):  # AV-Deepfake1M
            tracks = {m: as_spans(entry[f"{m}_fake_segments"]) for m in tracks}
        elif spans and {"modify_video", "modify_audio"} <= set(entry):  # LAV-DF
            changed = {"visual": entry["modify_video"], "audio": entry["modify_audio"]}
            tracks = {m: spans if forged else () for m, forged in changed.items()}
        elif spans:
            tracks = {"visual": None, "audio": None, "untold": spans}
        samples.append(
            Sample(
                path=path.parent / name,
                split="dev",
                method="unknown" if spans else "real",
                source="",
                person="",
                sync=None,
                label=bool(spans),
                **tracks,
            )
        )
    return samples


def read_forged(path: Path, origins: Mapping[str, Sample] | None = None) -> list[Sample]:
    """Return the samples of a forging's metadata.json.

    Args:
        path: the file.
        origins: the genuine samples by file name: a forged clip is in its origin's split, and its
            sync label is unknown if the origin's is. None: all clips are in dev, and their origins
            in sync.

    Raises:
        InputError: the file has another format, or a clip's origin is unknown.
    """
    rows, samples = json_of(path), []
    for number, row in enumerate(rows if isinstance(rows, list) else [rows]):
        try:
            samples.append(_forged_sample(row, path, origins))
        except KeyError as error:
            raise InputError(f"{path}: entry {number}: has no {error}") from error
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: entry {number}: {error}") from error
    return samples


def _forged_sample(
    row: Mapping[str, Any], path: Path, origins: Mapping[str, Sample] | None
) -> Sample:
    if not isinstance(row, Mapping):
        raise InputError(f"expected an object of `avdetect forge`, got {row!r:.40}")
    source = row.get("source") or row["original"] or row["file"]
    if origins is not None and source not in origins:
        raise InputError(f"{row['file']} was made of {source}, which no manifest has")
    origin = None if origins is None else origins[source]
    spans = {modality: as_spans(row[f"{modality}_fake_segments"]) for modality in MODALITIES}
    fits = origin is None or origin.sync is not None
    pictured, sounds = row["video_frames"] > 0, row["audio_channels"] > 0
    return Sample(
        path=path.parent / row["file"],
        split="dev" if origin is None else origin.split,
        method=f"forged {row['method']}" if row["n_fakes"] else "real",
        source="forged" if origin is None else origin.source,
        person=row["person"],
        visual=spans["visual"] if pictured else None,
        audio=spans["audio"] if sounds else None,
        sync=spans["sync"] if pictured and sounds and fits else None,
    )
