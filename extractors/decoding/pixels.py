"""Decoded frames as a player shows them: upright, square pixels, one size, standard range."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from extractors.decoding.container import refuse_absurd
from extractors.decoding.tone_mapping import standard_range

Frame = npt.NDArray[np.uint8]  # (H, W, 3) RGB, upright

MOST_OBLONG = 4.0  # largest plausible aspect ratio of a pixel, either way round
NEARLY_SQUARE = 0.02  # deviation of an aspect ratio from 1 that counts as square
TRANSFERS = {16: "PQ", 18: "HLG"}  # of ITU-T H.273: SMPTE ST 2084, ARIB STD-B67


def believed_shape(ratio: Any) -> float:
    """Return a file's pixel aspect ratio (width by height); 1 if it is absent or implausible.

    It is also 1 where it is nearly so, as in pictures that were scaled to whole pixels.
    """
    shape = float(ratio or 1)
    if abs(shape - 1) < NEARLY_SQUARE or not 1 / MOST_OBLONG <= shape <= MOST_OBLONG:
        return 1.0
    return shape


def shown_size(width: int, height: int, shape: float) -> tuple[int, int]:
    """Return width and height in square pixels of a picture of pixels of aspect ratio `shape`.

    >>> shown_size(720, 576, 64 / 45)
    (1024, 576)
    """
    return max(1, round(width * shape)), height


@dataclass(frozen=True)
class FrameShape:
    """How a picture's frames are to be shown."""

    size: tuple[int, int]  # width and height, upright
    rotation: int  # degrees counter-clockwise that turn the stored frame upright: 0, 90, 180, 270
    shape: float  # width by height of a stored pixel
    transfer: str | None  # "PQ", "HLG" or None: standard range


class ShownFrame:
    """A decoded frame whose pixels are converted once, and only if a step shows it.

    A frame of another aspect ratio than the first one's is fitted in between black bars.
    """

    def __init__(self, frame: Any, look: FrameShape, threads: int) -> None:
        self._frame, self._look, self._threads = frame, look, threads

    @cached_property
    def fitted(self) -> tuple[int, int]:
        """Width and height of the upright frame inside the picture, without bars."""
        stored = shown_size(self._frame.width, self._frame.height, self._look.shape)
        width, height = stored[::-1] if self._look.rotation % 180 else stored
        most_wide, most_high = self._look.size
        scale = min(most_wide / width, most_high / height)
        fitted = max(1, round(width * scale)), max(1, round(height * scale))
        near = abs(fitted[0] - most_wide) <= 1 and abs(fitted[1] - most_high) <= 1
        return self._look.size if near else fitted

    @cached_property
    def pixels(self) -> Frame:
        """The frame (H, W, 3)."""
        refuse_absurd(self._frame.width, self._frame.height)
        turns = self._look.rotation // 90
        width, height = self.fitted if turns % 2 == 0 else self.fitted[::-1]
        rgb = self._frame.reformat(width, height, "rgb24", threads=self._threads)
        plane = rgb.planes[0]  # its rows may be longer than the picture is wide
        rows = np.frombuffer(plane, np.uint8).reshape(height, plane.line_size)
        pixels = rows[:, : 3 * width].reshape(height, width, 3)
        if self._look.transfer is not None:
            pixels = standard_range(pixels, self._look.transfer)
        upright = np.rot90(pixels, turns)
        if self.fitted != self._look.size:
            upright = _between_bars(upright, self._look.size)
        return np.ascontiguousarray(upright)


def _between_bars(pixels: Frame, size: tuple[int, int]) -> Frame:
    """Return a picture in the middle of a black one of width and height `size`."""
    height, width = pixels.shape[:2]
    whole = np.zeros((size[1], size[0], 3), np.uint8)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    whole[top : top + height, left : left + width] = pixels
    return whole
