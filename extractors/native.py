"""Crops at the picture's native resolution, with the traces that resizing would erase.

Not one of the streams of every clip: only parts of the zoo that analyse single pixels use it, on a
few frames of a clip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from extractors.clip import Frames
from extractors.media import PathLike, read_chunks

SIDE = 160  # pixels of a crop
SHOWN = 8  # frames that are taken of a clip
LEAST_EDGES = 2.0  # grey levels a pixel: below this mean of a window nothing stands in it


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
    spread = _spread_frames(path, shown, native_crop)
    return None if spread is None else (_stacked(spread[0]), spread[1])


def overlay_crops(path: PathLike, shown: int = SHOWN) -> tuple[Tensor, Tensor] | None:
    """Return what `native_crops` returns, of the place where a caption or logo is likeliest.

    None as well where nothing stands still, see `overlay_place`.

    Raises:
        MediaError: the file cannot be decoded.
    """
    spread = _spread_frames(path, shown, lambda f: f if min(f.shape[:2]) >= SIDE else None)
    place = None if spread is None else overlay_place(np.stack(spread[0]))
    if spread is None or place is None:
        return None
    top, left = place
    return _stacked([f[top : top + SIDE, left : left + SIDE] for f in spread[0]]), spread[1]


def overlay_place(frames: Frames) -> tuple[int, int] | None:
    """Return row and column, even, of the 160 pixels a side with the most edges that stand still.

    Captions and logos have edges in the same pixels of every frame, what moves has not: an edge
    counts by its least strength in any of the frames (K, H, W, 3). A still camera's background
    counts as well. None where the window has less than `LEAST_EDGES`.
    """
    grey = frames.mean(axis=3, dtype=np.float32)
    edges = np.abs(np.diff(grey, axis=1))[:, :, :-1] + np.abs(np.diff(grey, axis=2))[:, :-1]
    sums = np.pad(edges.min(axis=0).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    reach = SIDE - 1  # the differences inside a window
    inside = sums[reach:, reach:] - sums[:-reach, reach:] - sums[reach:, :-reach]
    inside = (inside + sums[:-reach, :-reach])[::2, ::2]
    row, column = np.unravel_index(inside.argmax(), inside.shape)
    return None if inside.max() < LEAST_EDGES * reach**2 else (2 * int(row), 2 * int(column))


def _spread_frames(
    path: PathLike, shown: int, cut: Callable[[Frames], Frames | None]
) -> tuple[list[Frames], Tensor] | None:
    """Return what is cut from frames spread evenly over a file, and their steps (K,).

    None where there is no picture, or nothing could be cut from one.
    """
    kept: list[tuple[int, Frames]] = []
    apart = 1
    for clip in read_chunks(path):
        for step, frame in enumerate(() if clip.frames is None else clip.frames, clip.start):
            if step % apart:
                continue
            crop = cut(frame)
            if crop is None:
                return None
            kept.append((step, crop.copy()))
            if len(kept) == 2 * shown:
                kept, apart = kept[::2], 2 * apart
    if not kept:
        return None
    picks = np.linspace(0, len(kept) - 1, min(shown, len(kept))).round().astype(int)
    return [kept[i][1] for i in picks], torch.tensor([kept[i][0] for i in picks])


def _stacked(crops: Sequence[Frames]) -> Tensor:
    """Return crops (K, 3, H, W)."""
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()
