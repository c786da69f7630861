"""How many faces there are in a frame, by a detector that is shown the whole and its parts.

A detector scales what it is shown down to some two hundred pixels, so that it misses the faces of a
crowd in the whole picture and finds them in its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from extractors.clip import Array, Frames

Find = Callable[[Frames], Array]  # a picture -> boxes (K, 4) of left, top, right, bottom, pixels
PART = 0.6  # of the frame's width and height: neighbours share a fifth of it
SAME = 0.4  # share of the smaller of two boxes inside the other from which on they are one face


def count_faces(frame: Frames, find: Find) -> int:
    """Return the number of faces in a frame (H, W, 3)."""
    found = np.concatenate([find(part) + (x, y, x, y) for x, y, part in parts(frame)])  # noqa: RUF005
    kept: list[Array] = []
    for box in sorted(found, key=_area, reverse=True):
        if all(shared(box, other) < SAME for other in kept):
            kept.append(box)
    return len(kept)


def parts(frame: Frames) -> Iterator[tuple[int, int, Frames]]:
    """Yield the frame and its four overlapping corners, each with its left and top."""
    height, width = frame.shape[:2]
    yield 0, 0, frame
    tall, wide = round(PART * height), round(PART * width)
    for y in (0, height - tall):
        for x in (0, width - wide):
            yield x, y, np.ascontiguousarray(frame[y : y + tall, x : x + wide])


def shared(a: Array, b: Array) -> float:
    """Return the share of the smaller of two boxes that lies in the other."""
    inside = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0).prod()
    return float(inside / max(min(_area(a), _area(b)), 1e-6))


def _area(box: Array) -> float:
    return float((box[2:] - box[:2]).prod())
