"""The files of a forged clip: the clip, and its labels in an extension of LAV-DF's format."""

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
    """How often each kind of forgery is drawn, and how the clips are encoded."""

    segments: SegmentConfig = field(default_factory=SegmentConfig)
    sources: SourceConfig = field(default_factory=SourceConfig)
    picture_share: float = 0.4  # picture alone; the shares of what a clip allows are scaled to 1
    sound_share: float = 0.2
    both_share: float = 0.2  # one forgery each, on the same or overlapping segments
    shifted_share: float = 0.08  # sound shifted in time
    dubbed_share: float = 0.12  # other words with matching lips
    donors: int = 2  # other people's clips that each clip may take from
    crf: tuple[int, int] = (18, 32)  # of H.264, from and to, both included
    bit_rates: tuple[int, ...] = (32_000, 48_000, 64_000)  # of AAC


@dataclass(frozen=True)
class ForgeTask:
    """Everything that a process needs to forge one file's clips."""

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
    """Write a clip and then its metadata, and return that: a row on disk means a whole clip."""
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
    """Return a clip's name without suffix; the genuine clip (0) is named like its source."""
    stem = Path(task.name).stem
    return stem if k == 0 else f"{stem}_forged{k}"


def _file_name(task: ForgeTask, k: int, picture: bool) -> str:
    return _stem(task, k) + (".mp4" if picture else ".m4a")


def _row_path(task: ForgeTask, k: int) -> Path:
    return task.out / "rows" / f"{_stem(task, k)}.json"


def read_row(task: ForgeTask, k: int) -> Row | None:
    """Return the metadata of a clip that already exists; None if it does not."""
    path = _row_path(task, k)
    if not path.exists():
        return None
    row: Row = json.loads(path.read_text())
    return row if (task.out / row["file"]).exists() else None


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(value, indent=1) + "\n").encode())


def claim_folder(out: Path, settings: Row) -> None:
    """Write the settings into a new folder, or check that they match those of its clips.

    Raises:
        InputError: the folder holds clips forged with other settings.
    """
    path = out / "settings.json"
    wanted = json.loads(json.dumps(settings))
    if path.exists() and json.loads(path.read_text()) != wanted:
        raise InputError(f"{out} holds clips forged with other settings; choose another folder")
    write_json(path, wanted)


def digest(*parts: object) -> bytes:
    """Return the SHA-256 of the parts' text: 32 bytes, the same on every machine."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).digest()


def generator(task: ForgeTask, k: int, purpose: str) -> np.random.Generator:
    """Return a random generator seeded by the task's seed, the file's name, clip and purpose."""
    return np.random.default_rng(list(digest(task.seed, task.name, k, purpose)))
