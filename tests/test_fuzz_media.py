"""Damaged files of many kinds: each is read or refused, in time, and nothing is left behind."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from extractors.media import MediaConfig, MediaError, open_media, write_clip

NAMES = (
    "clip.mp4", "clip.mov", "clip.mkv", "clip.webm", "clip.avi", "clip.ts",
    "sound.wav", "sound.mp3", "sound.m4a", "sound.flac", "sound.ogg",
)  # fmt: skip
FILES_A_KIND = int(os.environ.get("AVDETECT_FUZZ_FILES", "12"))  # for each name and mutation
SECONDS = 40.0  # that one file may take on a busy machine, two readers and a hang included
CONFIG = MediaConfig(timeout=8.0, max_chunk_steps=16)
EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def originals(folder: Path) -> dict[str, bytes]:
    """One small sound file of each kind, as bytes."""
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(0, 255, (20, 4, 8, 3), dtype=np.uint8), 8, axis=1)
    frames = np.repeat(frames, 8, axis=2)  # (20, 32, 64, 3)
    waveform = (0.1 * rng.standard_normal(12_800)).astype(np.float32)
    contents = {}
    for name in NAMES:
        write_clip(folder / name, frames if name.startswith("clip") else None, waveform)
        contents[name] = (folder / name).read_bytes()
    return contents


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """Random bytes at random places."""
    changed = bytearray(data)
    for place in rng.integers(len(data), size=int(rng.choice([1, 4, 16, 64]))):
        changed[place] = int(rng.integers(256))
    return bytes(changed)


def truncated(data: bytes, rng: np.random.Generator) -> bytes:
    """Only the beginning."""
    return data[: int(rng.integers(1, len(data)))]


def rewritten(data: bytes, rng: np.random.Generator) -> bytes:
    """Extreme numbers where headers are: at the start, and at the end, where mp4 has its index."""
    changed = bytearray(data)
    reach = min(len(data), 1500)
    start = 0 if rng.random() < 0.5 else len(data) - reach
    for _ in range(int(rng.integers(1, 4))):
        width = int(rng.choice([1, 2, 4]))
        place = start + int(rng.integers(reach - width))
        value = int(rng.choice(EXTREMES)) & (1 << 8 * width) - 1
        changed[place : place + width] = value.to_bytes(width, rng.choice(["big", "little"]))
    return bytes(changed)


def moved(data: bytes, rng: np.random.Generator) -> bytes:
    """A piece cut out, doubled, or replaced by zeros or noise."""
    size = int(rng.integers(1, max(2, len(data) // 3)))
    place = int(rng.integers(len(data) - size))
    piece = data[place : place + size]
    filler = [b"", piece * 2, bytes(size), rng.bytes(size)][int(rng.integers(4))]
    return data[:place] + filler + data[place + size :]


def mutations(folder: Path) -> Iterator[Path]:
    """The damaged files, written one by one."""
    contents = originals(folder)
    for name, data in contents.items():
        for mutate in (flipped, truncated, rewritten, moved):
            rng = np.random.default_rng([len(data), NAMES.index(name), len(mutate.__name__)])
            for number in range(FILES_A_KIND):
                path = folder / f"{mutate.__name__}_{number}_{name}"
                path.write_bytes(mutate(data, rng))
                yield path


def outcome(path: Path) -> tuple[str, float]:
    """How reading the file ended, and after how many seconds."""
    start = time.monotonic()
    try:
        with open_media(path, CONFIG) as media:
            steps = sum(chunk.steps for chunk in media)
        assert 0 < steps <= media.steps
        result = "read with a warning" if media.warnings else "read"
    except MediaError as error:
        named = str(error).startswith(f"{path} ") and "\n" not in str(error)
        result = "refused" if named else f"refused with a message that names no file: {error}"
    return result, time.monotonic() - start


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_damaged_file_is_read_or_refused_in_time(tmp_path: Path) -> None:
    paths = list(mutations(tmp_path))
    with ThreadPoolExecutor(2) as pool:
        outcomes = dict(zip(paths, pool.map(outcome, paths), strict=True))
    counts = Counter(result for result, _ in outcomes.values())
    slowest = max(outcomes, key=lambda path: outcomes[path][1])
    print(f"{len(paths)} damaged files: {dict(counts)}; slowest {outcomes[slowest][1]:.1f} s")
    assert len(paths) >= 300
    assert set(counts) <= {"read", "read with a warning", "refused"}
    assert outcomes[slowest][1] < SECONDS, f"{slowest.name} took {outcomes[slowest][1]:.1f} s"
    assert counts["refused"] > 0
    assert counts["read"] > 0
