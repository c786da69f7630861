"""The sound track as mono samples at 16 kHz, each at its own time. Runs in the child process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from extractors.clock import SAMPLE_RATE
from extractors.decoding.container import MAX_GAP, SAMPLE_RATES, frames_from

Waveform = npt.NDArray[np.float32]  # (S,) mono in [-1, 1]


MAX_DRIFT = 0.02  # seconds by which a frame may be off before its time is believed
MAX_REWIND = 1.0  # seconds; times that jump back further start anew and mean nothing


class SoundReader:
    """Reads the sound from the common zero on, piece by piece.

    Sample i belongs to second i / 16,000: holes in the track and a late start are filled with
    zeros, what lies before the common zero or overlaps is dropped. Channels are averaged.
    """

    def __init__(
        self,
        source: str,
        track: int,
        zero: float,
        duration: float,
        progress: Callable[[], None],
        near: float | None = None,
    ) -> None:
        """Begin to read.

        near: second since the common zero shortly before which reading begins; None: at the start.
        """
        begin = None if near is None else zero + near
        self._pieces = _placed(_frames(source, track, begin), zero, progress)
        self._promised = duration
        self._position = 0  # of the next sample to be handed out
        self._last = 0  # position after the last sample seen
        self._rest: tuple[int, Waveform] | None = None  # (position of its first sample, samples)
        self.end: int | None = None  # position after the last sample, once the track has ended

    @property
    def lost_after(self) -> float | None:
        """The second at which the sound ended too early, once it has; None if it did not."""
        if self.end is None or self.end / SAMPLE_RATE > self._promised - 0.1:
            return None
        return self.end / SAMPLE_RATE

    def skip(self, samples: int) -> None:
        """Drop the next ``samples`` samples."""
        for start in range(0, samples, SAMPLE_RATE):
            self.read(min(SAMPLE_RATE, samples - start))

    def read(self, samples: int) -> Waveform:
        """The next ``samples`` samples (S,); zeros where the track has none or has ended."""
        waveform = np.zeros(samples, dtype=np.float32)
        start, stop = self._position, self._position + samples
        while True:
            if self._rest is None:
                self._rest = next(self._pieces, None)
            if self._rest is None:
                self.end = self.end or self._last
                break
            at, piece = self._rest
            low, high = max(at, start), min(at + len(piece), stop)
            if low < high:
                waveform[low - start : high - start] = piece[low - at : high - at]
            self._last = at + len(piece)
            if self._last > stop:
                break
            self._rest = None
        self._position = stop
        return waveform


def _placed(
    frames: Iterator[Any], zero: float, progress: Callable[[], None]
) -> Iterator[tuple[int, Waveform]]:
    """Pieces of the resampled sound with the position of their first sample, never overlapping."""
    resampler: Any = None
    kind: tuple[Any, ...] = ()
    clock = 0.0  # second at which the next frame is expected
    at, late = 0, 0  # position of the next sample; samples to drop since they overlap
    for frame in frames:
        progress()
        time = clock if frame.time is None else frame.time - zero
        if resampler is not None and time - clock > MAX_GAP:
            break
        jumped = abs(time - clock) > MAX_DRIFT and time - clock > -MAX_REWIND
        if resampler is None or jumped or kind != _kind(frame):
            for piece in _resampled(resampler, None):
                yield at, piece
                at += len(piece)
            begin = round((time if jumped or resampler is None else clock) * SAMPLE_RATE)
            at, late = (begin, 0) if resampler is None else (max(at, begin), max(0, at - begin))
            clock = begin / SAMPLE_RATE
            resampler, kind = av.AudioResampler(format="fltp", rate=SAMPLE_RATE), _kind(frame)
        clock += frame.samples / frame.sample_rate
        for piece in _resampled(resampler, frame):
            dropped = min(late, len(piece))
            late -= dropped
            yield at, piece[dropped:]
            at += len(piece) - dropped
    for piece in _resampled(resampler, None):
        yield at, piece
        at += len(piece)


def _frames(source: str, track: int, near: float | None) -> Iterator[Any]:
    """Every frame of sound that can be decoded, see ``frames_from``."""
    for frame in frames_from(source, track, near):
        if frame.samples and frame.sample_rate in SAMPLE_RATES:
            yield frame


def _kind(frame: Any) -> tuple[Any, ...]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _resampled(resampler: Any, frame: Any) -> Iterator[Waveform]:
    """The mono samples that come out of the resampler for ``frame`` (None: what is left in it)."""
    if resampler is None:
        return
    if frame is not None:
        frame.pts = None  # times are kept here; the resampler only counts
    try:
        resampled = resampler.resample(frame)
    except (av.FFmpegError, ValueError):  # channels or a format that nobody knows: a hole
        return
    for out in resampled:
        mono = out.to_ndarray().mean(axis=0, dtype=np.float32)  # (C, S) -> (S,)
        yield np.clip(np.nan_to_num(mono), -1.0, 1.0)
