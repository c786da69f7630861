"""Temporal forgeries: whole frames repeated, interpolated, or taken from another moment.

Each takes frames (T, H, W, 3) and returns new ones, equal outside steps [start, stop).
"""

from __future__ import annotations

import cv2
import numpy as np

from extractors.clip import Array, Frames
from pipelines.forge.picture.mouth import Steps, draw_retiming, fold, off_the_spot

SPLICES = ("skip", "repeat", "reverse", "elsewhere", "freeze")


def take_frames(frames: Frames, start: int, steps: Steps) -> Frames:
    """Return frames whose n steps from `start` on are replaced by those of `steps` (n,)."""
    forged = frames.copy()
    forged[start : start + len(steps)] = frames[steps]
    return forged


def repeat_frames(
    frames: Frames, start: int, stop: int, rng: np.random.Generator, strength: float = 0.5
) -> Frames:
    """Return frames that freeze for 2 to 5 steps, then jump.

    No frame of the segment stays in place, so every step of it is forged.
    """
    hold = int(rng.integers(2, 3 + round(3 * strength)))
    shown = shown_pictures(frames)
    first = start + np.arange(stop - start) // hold * hold  # of each group
    # Each group shows the picture before it; at the clip's beginning, the one after it.
    before = np.searchsorted(shown, shown[first]) - 1
    after = np.searchsorted(shown, shown[np.minimum(first + hold, stop) - 1], side="right")
    steps = np.where(before >= 0, before, after)
    return take_frames(frames, start, np.clip(steps, 0, len(frames) - 1))


def shown_pictures(frames: Frames) -> Steps:
    """Return the index of the picture on screen at each step (T,), from 0.

    Sources below 25 frames per second show a picture for more than one step.
    """
    new = [bool((a != b).any()) for a, b in zip(frames[1:], frames[:-1], strict=True)]
    return np.concatenate([[0], np.cumsum(new)]).astype(np.int64)


def interpolate_frames(
    frames: Frames, start: int, stop: int, rng: np.random.Generator, strength: float = 0.5
) -> Frames:
    """Return frames interpolated between frames 2 to 5 steps apart, by blending or by flow.

    The interpolated times lie between the originals, so no frame of the segment survives.
    """
    gap = 2 + round(3 * strength * rng.random())
    by_flow = rng.random() < 0.6
    late = float(rng.uniform(0.3, 0.7))  # steps by which the segment runs late
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    shown = shown_pictures(frames)
    forged = frames.copy()
    pair: tuple[int, int] | None = None
    field: Array | None = None
    for step in range(start, stop):
        left = start + (step - start - 1) // gap * gap  # before the step, as it runs late
        left = max(left, 0)
        after = np.searchsorted(shown, shown[left], side="right")  # the next different picture
        right = int(np.clip(max(left + gap, after), 0, len(frames) - 1))
        share = float(np.clip((step - late - left) / max(right - left, 1), 0.15, 0.85))
        if by_flow and pair != (left, right):
            pair, field = (left, right), _flow(flow, frames[left], frames[right])
        forged[step] = _between(frames[left], frames[right], share, field)
    return forged


def _flow(flow: cv2.DISOpticalFlow, first: Frames, second: Frames) -> Array:
    """Return the optical flow (H, W, 2) in pixels, estimated at half size."""
    height, width = first.shape[:2]
    size = (max(width // 2, 16), max(height // 2, 16))
    grey = [
        cv2.resize(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
        for f in (first, second)
    ]
    coarse = flow.calc(grey[0], grey[1], np.zeros((size[1], size[0], 2), np.float32))
    scale = np.array([width / size[0], height / size[1]], np.float32)
    return np.asarray(cv2.resize(coarse, (width, height)) * scale, np.float32)


def _between(first: Frames, second: Frames, share: float, field: Array | None) -> Frames:
    """Return the frame at `share` of the way, warped by a flow field (H, W, 2) or blended."""
    if field is not None:
        rows, columns = np.indices(field.shape[:2], np.float32)
        x, y = field[..., 0], field[..., 1]
        rest = 1 - share
        ahead = cv2.remap(first, columns - share * x, rows - share * y, cv2.INTER_LINEAR)
        behind = cv2.remap(second, columns + rest * x, rows + rest * y, cv2.INTER_LINEAR)
        return np.asarray(cv2.addWeighted(ahead, rest, behind, share, 0), np.uint8)
    return np.asarray(cv2.addWeighted(first, 1 - share, second, share, 0), np.uint8)


def splice_frames(
    frames: Frames, start: int, stop: int, rng: np.random.Generator, kind: str | None = None
) -> Frames:
    """Return frames whose segment is replaced by another stretch of the clip.

    By kind: a later one ("skip"), an earlier one ("repeat"), a reversed one, any other
    ("elsewhere"), or the frame before it throughout ("freeze").
    """
    kind = kind or str(rng.choice(SPLICES))
    steps = np.arange(start, stop)
    jump = int(rng.integers(5, max(min(stop - start, 50), 6)))
    if kind == "skip":
        walk = steps + jump
    elif kind == "repeat":
        walk = steps - jump
    elif kind == "freeze":
        walk = np.full(stop - start, max(start - 1, 0))
    elif kind in ("reverse", "elsewhere"):
        walk = draw_retiming(kind, len(frames), start, stop, rng)
    else:
        raise ValueError(f"expected a splice among {SPLICES}, got {kind!r}")
    walk = off_the_spot(fold(walk, len(frames)), steps, len(frames))
    return take_frames(frames, start, walk)
