"""Layouts of features that published localizers read: arrays (T, D) and their annotations.

- `actionformer`: the reader `anet` of ActionFormer (Zhang et al., ECCV 2022), with ActivityNet's
  annotations.
- `ummaformer`: the readers `lavdf` and `lavdfv2` of UMMAFormer (Zhang et al., ACM MM 2023), with
  LAV-DF's metadata.

BA-TFD's own reader decodes videos and takes no features, so there is no layout for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from extractors.clock import SAMPLES_PER_STEP, STEP_RATE
from pipelines.data.manifest import MARK, Record, Spans, as_fake, record_of
from pipelines.results.result_set import key_of
from pipelines.results.row_schema import Row
from pipelines.storage.files import write_by, write_whole

Layout = Literal["actionformer", "ummaformer"]
PICTURE, SOUND = ("appearance", "flow"), "mel"
FEATURES = (*PICTURE, SOUND)  # experts whose tokens are written
SUBSETS = {"train": "training", "val": "validation", "test": "test"}
SPLITS = {"train": "train", "val": "dev", "test": "test"}


@dataclass(frozen=True)
class _Annotated:
    """A clip and what is known of its truth."""

    id: str  # unique in the corpus
    row: Row
    record: Record | None  # None: the source was no manifest of `avdetect datasets`

    @property
    def split(self) -> str:
        """Train, val or test; a clip of none of them is for testing."""
        split = "" if self.record is None else self.record.split
        return split if split in SPLITS else "test"

    @property
    def periods(self) -> list[list[float]] | None:
        """Forged seconds of all tracks, merged; None: the clip is fake, but not known where."""
        if self.record is None:
            label = str(self.row["manifest"].get("label") or "0")
            return None if as_fake(label) else []
        known = [spans for spans in self.record.spans.values() if spans is not None]
        merged = _merged(sum(known, ()), self.row["duration"])
        return None if self.record.fake and not merged else merged


def write_layout(layout: Layout, folder: Path, rows: Iterable[Row]) -> Path:
    """Write the features and annotations of extracted clips; return the layout's folder.

    Features that are there are not written again. A fake of which nobody knows the forged seconds
    has features and no annotation.

    Args:
        layout: whose.
        folder: of the extraction.
        rows: lines of its index.
    """
    place, clips = folder / layout, [_annotated(row) for row in rows]
    for clip in clips:
        for name, make in _arrays(layout, clip):
            file = place / name
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                write_by(file, partial(_save, make(folder, clip.row)))
    known = [clip for clip in clips if clip.periods is not None]
    if layout == "actionformer":
        annotations: Any = {"version": "avdetect", "database": dict(_activitynet(known))}
    else:
        annotations = [_lavdf(clip) for clip in known]
    write_whole(place / "annotations.json", json.dumps(annotations).encode())
    return place


def _arrays(layout: Layout, clip: _Annotated) -> Iterator[tuple[str, Any]]:
    """Yield the name of each array of a clip, and what makes it."""
    if layout == "actionformer":
        yield f"features/{clip.id}.npy", partial(_features, names=FEATURES)
        return
    split = SPLITS[clip.split]
    for folder, expert in zip(("rgb", "flow"), PICTURE, strict=True):
        yield f"picture/{folder}/{split}/{clip.id}.npy", partial(_features, names=(expert,))
    yield f"sound/{split}/{clip.id}.npy", partial(_features, names=(SOUND,))


def _features(folder: Path, row: Row, names: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """Return the tokens of experts side by side (T, D * len(names)), from the file's first step.

    Picture: of the face that is longest on screen, else of the scene; a step without is zeros.
    """
    columns = [np.zeros((row["steps"], row["dim"]), np.float32) for _ in names]
    parts = row["parts"]
    faces = [part for part in parts if part.startswith("face")]
    main = sorted(faces, key=lambda part: parts[part]["steps"])[-1:]
    pictures = [part for part in parts if part.startswith("scene")] + main
    with safe_open(folder / row["file"], framework="np") as file:
        for name, column in zip(names, columns, strict=True):
            for part in ["sound"] if name == SOUND else pictures:
                if f"{part}.token.{name}" in row["tensors"]:
                    start = parts[part]["start_step"]
                    tokens = file.get_tensor(f"{part}.token.{name}")[: row["steps"] - start]
                    column[start : start + len(tokens)] = tokens
    return np.concatenate(columns, axis=1)


def _activitynet(clips: Iterable[_Annotated]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ActivityNet's entry of each clip by its name.

    Genuine clips of the training subset are left out: ActionFormer cannot train on clips without
    segments.
    """
    for clip in clips:
        periods, subset = clip.periods or [], SUBSETS[clip.split]
        if periods or subset != "training":
            segments = [{"label": "Fake", "label_id": 0, "segment": p} for p in periods]
            yield clip.id, {
                "subset": subset, "duration": clip.row["duration"], "fps": STEP_RATE,
                "annotations": segments, "path": clip.row["path"],
            }  # fmt: skip


def _lavdf(clip: _Annotated) -> dict[str, Any]:
    """Return a clip's entry of LAV-DF's metadata, with the rate of its features as its frames'."""
    periods, split, record = clip.periods or [], SPLITS[clip.split], clip.record
    return {
        "file": f"{split}/{clip.id}.mp4", "n_fakes": len(periods), "fake_periods": periods,
        "duration": clip.row["duration"], "original": None,
        "modify_video": bool(record and record.visual),
        "modify_audio": bool(record and record.audio),
        "split": split, "video_frames": clip.row["steps"], "audio_channels": 1,
        "audio_frames": clip.row["steps"] * SAMPLES_PER_STEP, "fps": STEP_RATE,
        "path": clip.row["path"],
    }  # fmt: skip


def _annotated(row: Row) -> _Annotated:
    manifest = row["manifest"]
    record = record_of(manifest | {"path": row["path"]}) if MARK in manifest else None
    stem = PurePosixPath(row["path"]).stem[:80]
    return _Annotated(f"{stem}-{key_of(row['path']):016x}", row, record)


def _merged(spans: Spans, duration: float) -> list[list[float]]:
    """Return spans as sorted seconds within the clip, overlapping ones as one."""
    merged: list[list[float]] = []
    for begin, end in sorted(spans):
        low, high = max(begin, 0.0), min(end, duration)
        if merged and low <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], high)
        elif low < high:
            merged.append([low, high])
    return merged


def _save(array: npt.NDArray[np.float32], path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, array)
