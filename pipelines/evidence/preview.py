"""A small copy of a file for its report, encoded during the detection: H.264 and AAC in MP4.

It holds the frames and the sound that were judged, on the same clock: 25 frames a second, mono at
16 kHz.
"""

from __future__ import annotations

import io
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from extractors.encoding import ClipWriter
from extractors.media import STEP_RATE, Clip, MediaInfo

SIDE = 512  # pixels of the longer side at most
SOUND_RATE = 32_000  # bits a second
PICTURE_RATE = 500_000  # bits a second at most
PICTURE_FLOOR = 40_000  # bits a second; below, nothing can be recognised and no copy is made
BYTES = 3_300_000  # of a copy of up to a minute
MAX_BYTES = 12_000_000  # of any copy: bounds memory


def picture_rate(seconds: float) -> int | None:
    """Return the bit rate of a copy's picture; None where it would be too low to be of use.

    >>> picture_rate(10), picture_rate(3600)
    (500000, None)
    """
    size = min(BYTES * max(seconds / 60, 1), MAX_BYTES)
    rate = min(round(8 * size / max(seconds, 1) - SOUND_RATE), PICTURE_RATE)
    return rate if rate >= PICTURE_FLOOR else None


class Preview:
    """The copy of one file; its chunks are encoded in another thread while the next is judged."""

    def __init__(self, info: MediaInfo) -> None:
        self._file = io.BytesIO()
        self._writer: ClipWriter | None = None
        self._pool = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None
        rate = picture_rate(info.duration)
        if rate is not None:
            limits = {"maxrate": str(rate), "bufsize": str(2 * rate)}
            # A key frame a second: seeking is exact and quick.
            speed = {"preset": "ultrafast", "threads": "1", "g": str(STEP_RATE)}
            self._writer = ClipWriter(self._file, {"crf": "26", **speed, **limits}, SOUND_RATE)

    def chunk(self, clip: Clip) -> None:
        """Encode a chunk; waits for the one before, so that no more than two are in memory."""
        if self._pending is not None:
            self._pending.result()
        if self._writer is not None:
            self._pending = self._pool.submit(self._encode, self._writer, clip)

    def finish(self) -> bytes | None:
        """Return the file, None where it would have been too large to be of use."""
        if self._pending is not None:
            self._pending.result()
        self._pool.shutdown()
        if self._pending is None or self._writer is None:
            return None
        self._writer.close()
        return self._file.getvalue()

    def _encode(self, writer: ClipWriter, clip: Clip) -> None:
        writer.write(None if clip.frames is None else shrunk(clip.frames), clip.waveform)


def shrunk(frames: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """Return T frames (H, W, 3) with even sides, the longer one of `SIDE` pixels at most."""
    scale = min(1.0, SIDE / max(frames.shape[1:3]))
    height, width = (max(round(side * scale) // 2 * 2, 2) for side in frames.shape[1:3])
    return [_resized(frame, width, height) for frame in frames]


def _resized(frame: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return a frame of another size, averaged down so that fine texture does not flicker.

    Halving is many times as fast as other area averages; the remaining factor is too small to
    need one.
    """
    import cv2

    while frame.shape[1] >= 2 * width and frame.shape[0] >= 2 * height:
        half = frame.shape[1] // 2, frame.shape[0] // 2
        even = frame[: 2 * half[1], : 2 * half[0]]
        frame = cv2.resize(even, half, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
    return small.astype(np.uint8, copy=False)
