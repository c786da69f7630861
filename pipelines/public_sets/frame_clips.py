"""Clips of folders of frames, as some data sets ship their videos."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from extractors.clip import Frames
from extractors.errors import InputError
from extractors.media import write_clip
from pipelines.data.manifest import Record
from pipelines.results.result_set import key_of
from pipelines.storage.files import write_by

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
MOST = 100  # frames
QUALITY = 10  # constant rate factor: hardly any loss


def clip_of_frames(record: Record, folder: Path) -> Record:
    """Return a record whose file is a clip of 25 frames a second, made of a folder if it is one.

    A clip that is there is not made again.

    Raises:
        InputError: the folder has no pictures, or one cannot be read.
    """
    source = Path(record.path)
    if not source.is_dir():
        return record
    clip = (folder / f"{key_of(record.path):016x}.mp4").absolute()
    if not clip.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_by(clip, partial(_write, _frames(source)), ".mp4")
    return replace(record, path=str(clip), fps=None)


def _write(frames: Frames, path: Path) -> None:
    write_clip(path, frames, None, crf=QUALITY)


def _frames(folder: Path) -> Frames:
    """Return the pictures of a folder (T, H, W, 3) in the order of their names, sides even."""
    names = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)[:MOST]
    if not names:
        raise InputError(f"{folder}: has no pictures")
    frames: list[Frames] = []
    for name in names:
        picture = cv2.imread(str(name))
        if picture is None:
            raise InputError(f"{name}: is no picture that can be read")
        height, width = frames[0].shape[:2] if frames else (n // 2 * 2 for n in picture.shape[:2])
        frame = cv2.cvtColor(cv2.resize(picture, (width, height)), cv2.COLOR_BGR2RGB)
        frames.append(frame.astype(np.uint8))
    return np.stack(frames)
