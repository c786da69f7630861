"""A forged clip's files: the clip itself, and its truth in the format of LAV-DF, and more."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from extractors.clock import SAMPLE_RATE, STEP_RATE
from extractors.errors import InputError
from extractors.media import write_clip
from pipelines.forge.scene import Forged
from pipelines.forge.segments import SegmentConfig, Segments
from pipelines.forge.sources import SourceConfig
from pipelines.storage.files import write_by, write_whole

Row = dict[str, Any]


@dataclass(frozen=True)
class ForgeConfig:
    """What is forged how often, and how the clips are written."""

    segments: SegmentConfig = field(default_factory=SegmentConfig)
    sources: SourceConfig = field(default_factory=SourceConfig)
    picture_share: float = 0.4  # picture alone; the shares of what a clip allows are scaled to 1
    sound_share: float = 0.2
    both_share: float = 0.2  # one forgery each, on the same or overlapping segments
    shifted_share: float = 0.08  # sound out of time
    dubbed_share: float = 0.12  # other words with fitting lips
    donors: int = 2  # other people's clips that each clip may take from
    crf: tuple[int, int] = (18, 32)  # of H.264, from and to, both included
    bit_rates: tuple[int, ...] = (32_000, 48_000, 64_000)  # of AAC


@dataclass(frozen=True)
class ForgeTask:
    """All that a process needs to know to forge one file's clips."""

    name: str
    path: Path
    person: str
    donors: tuple[Path, ...]
    out: Path
    per_video: int
    seed: int
    split: str
    config: ForgeConfig = field(default_factory=ForgeConfig)


def write_forged(forged: Forged, task: ForgeTask, k: int) -> Row:
    """Return a clip's metadata, the clip written first: a row on disk means that it is whole."""
    rng = generator(task, k, "encoding")
    low, high = task.config.crf
    path = task.out / _file_name(task, k, forged.frames is not None)
    write = partial(
        write_clip,
        frames=forged.frames,
        waveform=forged.waveform,
        crf=int(rng.integers(low, high + 1)),
        audio_bit_rate=int(rng.choice(task.config.bit_rates)),
    )
    write_by(path, write, path.suffix)
    steps = 0 if forged.frames is None else len(forged.frames)
    samples = 0 if forged.waveform is None else len(forged.waveform)
    row: Row = {
        "file": path.name,
        "n_fakes": len(forged.periods),
        "fake_periods": _rounded(forged.periods),
        "duration": max(steps / STEP_RATE, samples / SAMPLE_RATE),
        "original": None if k == 0 else _file_name(task, 0, forged.frames is not None),
        "modify_video": bool(forged.visual),
        "modify_audio": bool(forged.audio),
        "split": task.split,
        "video_frames": steps,
        "audio_channels": int(samples > 0),
        "audio_frames": samples,
        "visual_fake_segments": _rounded(forged.visual),
        "audio_fake_segments": _rounded(forged.audio),
        "sync_fake_segments": _rounded(forged.sync),
        "method": forged.method,
        "person": task.person,
        "source": task.name,
    }
    write_json(_row_path(task, k), row)
    return row


def _rounded(segments: Segments) -> list[list[float]]:
    return [[round(start, 5), round(stop, 5)] for start, stop in segments]


def _stem(task: ForgeTask, k: int) -> str:
    """Return a clip's name: the genuine one (0) is called like its source."""
    stem = Path(task.name).stem
    return stem if k == 0 else f"{stem}_forged{k}"


def _file_name(task: ForgeTask, k: int, picture: bool) -> str:
    return _stem(task, k) + (".mp4" if picture else ".m4a")


def _row_path(task: ForgeTask, k: int) -> Path:
    return task.out / "rows" / f"{_stem(task, k)}.json"


def read_row(task: ForgeTask, k: int) -> Row | None:
    """Return the metadata of a clip that is already there."""
    path = _row_path(task, k)
    if not path.exists():
        return None
    row: Row = json.loads(path.read_text())
    return row if (task.out / row["file"]).exists() else None


def write_json(path: Path, value: Any) -> None:
    """Write a value in one go: no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(value, indent=1) + "\n").encode())


def claim_folder(out: Path, settings: Row) -> None:
    """Write the settings into a fresh folder, or see that they are those of the clips in it."""
    path = out / "settings.json"
    wanted = json.loads(json.dumps(settings))
    if path.exists() and json.loads(path.read_text()) != wanted:
        raise InputError(f"{out} holds clips forged with other settings; choose another folder")
    write_json(path, wanted)


def digest(*parts: object) -> bytes:
    """Return 32 bytes that depend on the parts alone, on any machine."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).digest()


def generator(task: ForgeTask, k: int, purpose: str) -> np.random.Generator:
    """Return a generator that depends on the seed, the file's name, the clip and the purpose."""
    return np.random.default_rng(list(digest(task.seed, task.name, k, purpose)))
