"""Spatial ground truth: a forged file's face crops compared with those of its genuine twin."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from extractors.appearance import face_crops
from extractors.clip import Array
from extractors.media import file_sha256, read_chunks
from extractors.stream_extractor import StreamExtractor
from pipelines.data.samples import Sample
from pipelines.storage.files import write_by
from pipelines.zoo.maps import MapChunk
from temporal.forgery_map import face_cells, grey_map, in_cells
from temporal.segment import MODALITIES

SHOWN = 8  # steps of a file, spread over the forged ones
CODING = 4.0  # grey levels by which two encodings of one scene differ


def twin_chunk(forged: Sample, genuine: Path, min_face: float, folder: Path) -> MapChunk | None:
    """Return crops of a forged file's face with their truth; None if no forged step has a face.

    The genuine file is cropped by the squares of the forged one, so that pixels correspond. The
    crops are cached.

    Args:
        forged: a file that is genuine except for its forged seconds.
        genuine: the same scene without them, with the same encoding.
        min_face: pixels; smaller faces are ignored.
        folder: of the cache.

    Raises:
        MediaError: a file cannot be decoded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = f"{file_sha256(forged.path)}{file_sha256(genuine)}{SHOWN}{CODING}{min_face}"
    file = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.twins"
    if not file.exists():
        made = _cut(forged, genuine, min_face)
        write_by(file, partial(save_file, {} if made is None else made))
    kept = load_file(file)
    if not kept:
        return None
    truth = in_cells(grey_map(kept["genuine"], kept["crops"], CODING))
    return MapChunk(kept["crops"], face_cells(kept["depth"]), truth)


def _cut(forged: Sample, genuine: Path, min_face: float) -> dict[str, Tensor] | None:
    """Return forged and genuine crops (K, 3, 112, 112), and the depth of the mesh."""
    squares: dict[tuple[int, int], Array] = {}  # track and step -> square (4,)

    def on_face(track: int, first: int, found: Array, landmarks: Array) -> None:
        squares.update({(track, first + k): square for k, square in enumerate(found)})

    extractor = StreamExtractor()
    blocks = [
        block
        for block in extractor(read_chunks(forged.path), on_face=on_face)
        if block.track is not None and (block.face_size or 0) >= min_face
    ]
    face = max(blocks, key=lambda block: block.steps, default=None)
    if face is None or face.track is None or face.appearance is None or face.depth is None:
        return None
    hit = forged.targets(face.start, face.steps)[:, MODALITIES.index("visual")] == 1
    places = hit.nonzero().flatten()
    if not len(places):
        return None
    picks = places[np.linspace(0, len(places) - 1, min(SHOWN, len(places))).round().astype(int)]
    steps = [face.start + int(place) for place in picks]
    twins = _crops_at(genuine, steps, [squares[face.track, step] for step in steps])
    if len(twins) < len(steps):  # the genuine file ends earlier
        picks = picks[: len(twins)]
    if not len(twins):
        return None
    return {
        "crops": face.appearance[picks].contiguous(), "genuine": twins,
        "depth": face.depth[picks].contiguous(),
    }  # fmt: skip


def _crops_at(path: Path, steps: Sequence[int], squares: Sequence[Array]) -> Tensor:
    """Return the crops (K, 3, 112, 112) of a file by squares at ascending steps."""
    crops = []
    for chunk in read_chunks(path):
        if chunk.frames is None:
            continue
        shown = [
            (chunk.frames[step - chunk.start], square)
            for step, square in zip(steps, squares, strict=True)
            if chunk.start <= step < chunk.start + chunk.steps
        ]
        if shown:
            cut = face_crops([frame for frame, _ in shown], np.stack([s for _, s in shown]))
            crops.append(torch.from_numpy(cut).permute(0, 3, 1, 2))
    return torch.cat(crops).contiguous() if crops else torch.empty(0)
