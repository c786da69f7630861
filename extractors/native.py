"""Crops at the picture's native resolution, with the traces that resizing would erase.

Not one of the streams of every clip: only parts of the zoo that analyse single pixels use it, on a
few frames of a clip.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from extractors.clip import Frames
from extractors.media import PathLike, read_chunks

SIDE = 160  # pixels of a crop
SHOWN = 8  # frames that are taken of a clip


def native_crop(frame: Frames, side: int = SIDE) -> Frames | None:
    """Return the middle (side, side, 3) of a frame, None where the frame is smaller.

    It begins at even coordinates, so that blocks of 2x2 pixels stay whole.
    """
    height, width = frame.shape[:2]
    if min(height, width) < side:
        return None
    top, left = ((length - side) // 4 * 2 for length in (height, width))
    return frame[top : top + side, left : left + side]


def native_crops(path: PathLike, shown: int = SHOWN) -> tuple[Tensor, Tensor] | None:
    """Return crops (K, 3, 160, 160) uint8 of a file's steps (K,), spread evenly over it.

    None where there is no picture or it is too small. Memory does not grow with the file's length:
    whenever the buffer is full, every second crop is dropped.

    Raises:
        MediaError: the file cannot be decoded.
    """
    kept: list[tuple[int, Frames]] = []
    apart = 1
    for clip in read_chunks(path):
        for step, frame in enumerate(() if clip.frames is None else clip.frames, clip.start):
            if step % apart:
                continue
            crop = native_crop(frame)
            if crop is None:
                return None
            kept.append((step, crop.copy()))
            if len(kept) == 2 * shown:
                kept, apart = kept[::2], 2 * apart
    if not kept:
        return None
    picks = np.linspace(0, len(kept) - 1, min(shown, len(kept))).round().astype(int)
    crops = np.stack([kept[i][1] for i in picks])
    steps = torch.tensor([kept[i][0] for i in picks])
    return torch.from_numpy(crops).permute(0, 3, 1, 2).contiguous(), steps
