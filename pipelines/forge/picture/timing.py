"""Forged time: whole frames repeated, invented between others, or taken from another moment.

Frames (T, H, W, 3) in, new frames out, equal to the old ones outside steps [start, stop).
"""

from __future__ import annotations

import cv2
import numpy as np

from extractors.clip import Array, Frames
from pipelines.forge.picture.mouth import Steps, draw_retiming, fold, off_the_spot

SPLICES = ("skip", "repeat", "reverse", "elsewhere", "freeze")


def take_frames(frames: Frames, start: int, steps: Steps) -> Frames:
    """Return frames whose steps from `start` on are those of `steps` (n,)."""
    forged = frames.copy()
    forged[start : start + len(steps)] = frames[steps]
    return forged


def repeat_frames(
    frames: Frames, start: int, stop: int, rng: np.random.Generator, strength: float = 0.5
) -> Frames:
    """Return frames that stand still for 2 to 6 steps, then jump.

    No frame of the segment stays in its own place, so every step of it is forged.
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
    """Return which picture, counted from 0, is on screen at each step (T,).

    Sources slower than 25 frames a second show a picture for more than one step.
    """
    new = [bool((a != b).any()) for a, b in zip(frames[1:], frames[:-1], strict=True)]
    return np.concatenate([[0], np.cumsum(new)]).astype(np.int64)


def interpolate_frames(
    frames: Frames, start: int, stop: int, rng: np.random.Generator, strength: float = 0.5
) -> Frames:
    """Return frames invented between kept ones, 2 to 5 steps apart, by blending or by flow.

    The invented moments lie off the kept ones, so no frame of the segment survives.
    """
    gap = 2 + round(3 * strength * rng.random())
    by_flow = rng.random() < 0.6
    late = float(rng.uniform(0.3, 0.7))  # steps by which the segment runs late
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    shown = shown_pictures(frames)
    forged = frames.copy()
    known: tuple[int, int] | None = None
    field: Array | None = None
    for step in range(start, stop):
        left = start + (step - start - 1) // gap * gap  # before the step, as it runs late
        left = max(left, 0)
        after = np.searchsorted(shown, shown[left], side="right")  # the next different picture
        right = int(np.clip(max(left + gap, after), 0, len(frames) - 1))
        share = float(np.clip((step - late - left) / max(right - left, 1), 0.15, 0.85))
        if by_flow and known != (left, right):
            known, field = (left, right), _flow(flow, frames[left], frames[right])
        forged[step] = _between(frames[left], frames[right], share, field)
    return forged


def _flow(flow: cv2.DISOpticalFlow, first: Frames, second: Frames) -> Array:
    """Return the motion (H, W, 2) in pixels, found at half size: a fake's flow is rough."""
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
    """Return the frame at `share` of the way, warped along a motion field (H, W, 2) if given."""
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
    """Return frames whose segment shows another stretch of the clip.

    A later one (what lay between is skipped), an earlier one (repeated), one played backwards, any
    other, or the frame before it throughout.
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
