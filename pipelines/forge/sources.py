"""The sources of forgeries: real files, their main face, and donors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from extractors.clip import Array, Frames
from extractors.clock import SAMPLES_PER_STEP
from extractors.errors import InputError
from extractors.faces import FaceTrack, track_faces
from extractors.media import Clip, MediaConfig, open_media
from pipelines.forge.picture.geometry import face_width
from pipelines.forge.scene import Donor

SUFFIXES = (
    ".mp4",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".m4a",
    ".mp3",
    ".flac",
    ".wav",
    ".ogg",
    ".opus",
)
MIN_FACE = 32.0  # pixels from ear to ear; smaller faces are not forged


@dataclass(frozen=True)
class SourceConfig:
    """The length and size at which real files are used."""

    max_steps: int = 250  # 10 s
    shorter_side: int = 360  # pixels at most
    donor_steps: int = 50  # of a donor's face; its sound is used up to max_steps


def find_sources(sources: Path | list[Path]) -> dict[str, Path]:
    """Return the media files of a folder and its subfolders, or of a list, by name.

    Raises:
        InputError: there are none, or two have the same name.
    """
    if isinstance(sources, Path):
        files = sorted(p for p in sources.rglob("*") if p.suffix.lower() in SUFFIXES)
        names = ["_".join(p.relative_to(sources).parts) for p in files]
    else:
        files = list(sources)
        names = [p.name for p in files]
    by_name = dict(zip(names, files, strict=True))
    stems = {Path(name).stem for name in names}
    if not files:
        raise InputError(f"no media files in {sources}: expected one of {', '.join(SUFFIXES)}")
    if len(stems) < len(files):
        raise InputError(f"expected {len(files)} files of different names, got {len(stems)} names")
    return by_name


def load_clip(path: Path, config: SourceConfig) -> Clip:
    """Return the beginning of a file, scaled down, with sound no longer than the picture.

    Raises:
        MediaError: the file cannot be read.
    """
    frames: list[Frames] = []
    sounds: list[Array] = []
    steps = 0
    with open_media(path, MediaConfig(threads=1)) as reader:
        for chunk in reader:
            if chunk.frames is not None:
                frames.append(_scaled(chunk.frames, config.shorter_side))
            if chunk.waveform is not None:
                sounds.append(chunk.waveform)
            steps += chunk.steps
            if steps >= config.max_steps:
                break
    picture = np.concatenate(frames)[: config.max_steps] if frames else None
    samples = (config.max_steps if picture is None else len(picture)) * SAMPLES_PER_STEP
    sound = np.concatenate(sounds)[:samples] if sounds else None
    return Clip(0, picture, sound)


def load_source(path: Path, config: SourceConfig) -> tuple[Clip, FaceTrack | None]:
    """Return the beginning of a file and its main face; None if it shows no face.

    Raises:
        MediaError: the file cannot be read.
    """
    clip = load_clip(path, config)
    return clip, None if clip.frames is None else main_face(track_faces(clip.frames))


def main_face(tracks: list[FaceTrack]) -> FaceTrack | None:
    """Return the face of the largest size times duration; None if all are too small."""
    sizes = [float(np.median([face_width(points) for points in t.landmarks])) for t in tracks]
    large = [(s * len(t.landmarks), i) for i, (s, t) in enumerate(zip(sizes, tracks, strict=True))]
    large = [(area, i) for area, i in large if sizes[i] >= MIN_FACE]
    return tracks[max(large)[1]] if large else None


@lru_cache(maxsize=6)
def load_donor(path: Path, config: SourceConfig) -> Donor:
    """Return a file as a donor of its face and its sound; either may be missing.

    Raises:
        MediaError: the file cannot be read.
    """
    whole = load_clip(path, config)
    if whole.frames is None:
        return Donor(None, None, whole.waveform)
    frames = whole.frames[: config.donor_steps]
    track = main_face(track_faces(frames))
    if track is None:
        return Donor(None, None, whole.waveform)
    seen = slice(track.start, track.start + len(track.landmarks))
    waveform = whole.waveform
    if waveform is not None:
        waveform = waveform[track.start * SAMPLES_PER_STEP :]
    return Donor(frames[seen], track.landmarks, waveform)


def _scaled(frames: Frames, shorter_side: int) -> Frames:
    """Return frames (T, H, W, 3) with even sides, the shorter one at most `shorter_side`."""
    height, width = frames.shape[1:3]
    scale = min(shorter_side / min(height, width), 1.0)
    size = (round(width * scale) // 2 * 2, round(height * scale) // 2 * 2)
    if scale == 1.0:
        return frames[:, : size[1], : size[0]]
    return np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames]).astype(
        np.uint8
    )
