"""Faces of a corpus as pictures, by DeepfakeBench's contract, for detectors of single frames.

Its contract (Yan and others, NeurIPS 2023): 32 frames spread over a video, one face of each,
upright, 256 pixels a side, 1.3 times as large as the face, and a list (JSON) of a data set's
frames. Its faces are found and set upright by dlib's landmarks; here MediaPipe's mesh gives both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from extractors.clip import Array, Frames
from extractors.crops import crop_square, crop_squares
from extractors.errors import InputError
from extractors.faces import FaceConfig, track_faces
from extractors.media import MediaConfig, MediaError, open_media
from pipelines.data.manifest import Record
from pipelines.progress import OnStep
from pipelines.results.result_set import key_of
from pipelines.storage.files import write_whole

FRAMES, SIDE = 32, 256
# of single frames far apart: nothing is followed, and nothing smoothed
SINGLE = FaceConfig(margin=1.3, max_gap=0, min_steps=1, min_overlap=0.0, smoothing=1e-3)


def face_frames(path: Path, frames: int = FRAMES, media: MediaConfig = MediaConfig()) -> Frames:
    """Return the largest face (K, 256, 256, 3) of each of up to `frames` frames, spread evenly.

    Frames without a face are left out.

    Raises:
        MediaError: the file cannot be read, or has no picture.
    """
    with open_media(path, media) as reader:
        wanted = np.unique(np.linspace(0, max(reader.steps - 1, 0), frames).round().astype(int))
        chosen = [
            clip.frames[step - clip.start].copy()
            for clip in reader
            if clip.frames is not None
            for step in wanted[(wanted >= clip.start) & (wanted < clip.start + len(clip.frames))]
        ]
    if not chosen:
        raise MediaError(f"{path}: has no picture")
    largest: dict[int, Array] = {}  # (478, 3) by frame
    for track in track_faces(np.stack(chosen), SINGLE):
        for offset, landmarks in enumerate(track.landmarks):
            step = track.start + offset
            if step not in largest or np.ptp(landmarks[:, 1]) > np.ptp(largest[step][:, 1]):
                largest[step] = landmarks
    crops = [_upright(chosen[step], landmarks) for step, landmarks in sorted(largest.items())]
    return np.stack(crops) if crops else np.zeros((0, SIDE, SIDE, 3), np.uint8)


def _upright(frame: Frames, landmarks: Array) -> Frames:
    still = np.repeat(landmarks[None], 2 * SINGLE.radius + 1, axis=0)
    return crop_square(frame, crop_squares(still, SINGLE)[0], (SIDE, SIDE))


def write_face_frames(
    records: Sequence[Record], root: Path, out: Path, on_step: OnStep = lambda done, total: None
) -> dict[str, int]:
    """Write faces below `out`/frames and a list for each domain, and return how many there are.

    The faces of a video that were written before are not made again; one that cannot be read, or
    shows no face, is counted and left out of the list.

    Args:
        records: whose paths are relative to `root`; their domain is the data set.
        root: folder of the manifest.
        out: made if it is not there.
        on_step: called with the number of videos done and the total.

    Raises:
        InputError: no video gave a face.
    """
    lists: dict[str, Any] = {}
    counts = {"videos": 0, "frames": 0, "without a face": 0, "unreadable": 0}
    for done, record in enumerate(records, 1):
        try:
            names = _written(root / record.path, out)
        except MediaError:
            names = []
            counts["unreadable"] += 1
        else:
            counts["videos" if names else "without a face"] += 1
        counts["frames"] += len(names)
        if names:
            _enter(lists, record, names)
        on_step(done, len(records))
    if not counts["videos"]:
        raise InputError(f"{root}: none of {len(records)} videos gave a face")
    for dataset, content in lists.items():
        name = re.sub(r"[^\w.+-]", "_", dataset)
        write_whole(out / f"{name}.json", json.dumps({dataset: content}, indent=1).encode())
    return counts


def _written(path: Path, out: Path) -> list[str]:
    """Return the names of a video's faces, relative to `out`, and write them unless they are."""
    folder = out / "frames" / f"{key_of(str(path)):016x}"
    if not (folder / "done").exists():
        faces = face_frames(path)
        folder.mkdir(parents=True, exist_ok=True)
        for number, face in enumerate(faces):
            cv2.imwrite(str(folder / f"{number:03d}.png"), cv2.cvtColor(face, cv2.COLOR_RGB2BGR))
        (folder / "done").touch()
    return [p.relative_to(out).as_posix() for p in sorted(folder.glob("*.png"))]


def _enter(lists: dict[str, Any], record: Record, names: Sequence[str]) -> None:
    dataset = record.domain or record.source or "clips"
    label = f"{record.method}_Fake" if record.fake else f"{dataset}_Real"
    place = lists.setdefault(dataset, {}).setdefault(label, {})
    place = place.setdefault(record.split or "test", {})
    groups: Mapping[str, str] = record.groups
    if "quality" in groups:
        place = place.setdefault(groups["quality"], {})
    place[Path(names[0]).parent.name] = {"label": label, "frames": list(names)}
