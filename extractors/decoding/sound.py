"""The sound track as mono samples at 16 kHz, each at its own time. Runs in the child process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os import PathLike, fspath
from typing import Any

import av
import numpy as np

from extractors.clock import SAMPLE_RATE
from extractors.decoding.container import SAMPLE_RATES, frames_from
from extractors.decoding.mixing import Mixer, Waveform
from extractors.decoding.tracks import Sound

MAX_DRIFT = 0.02  # seconds between a frame's time and the running clock, beyond which it is a jump
SHORTFALL = 0.1  # seconds that may be missing at the end
MAX_REWIND = 1.0  # seconds; times that jump back further are a restart and are ignored


class SoundReader:
    """Reads the sound from the common zero on, piece by piece.

    Sample i belongs to second i / 16,000: gaps in the track and a late start are filled with
    zeros; samples before the common zero and overlaps are dropped. Channels are mixed to mono.
    """

    def __init__(
        self,
        source: str,
        sound: Sound,
        zero: float,
        progress: Callable[[], None],
        near: float | None = None,
    ) -> None:
        """Begin to read.

        near: second since the common zero shortly before which reading begins; None: at the start.
        """
        self._mixer = Mixer(SAMPLE_RATE)
        begin = None if near is None else zero + near
        self._pieces = _placed(_frames(source, sound, begin), zero, self._mixer, progress)
        self.promised = sound.end  # second at which its packets end
        self._position = 0  # of the next sample to be handed out
        self._last = 0  # position after the last sample seen
        self._rest: tuple[int, Waveform] | None = None  # (position of its first sample, samples)
        self.end: int | None = None  # position after the last sample, once the track has ended

    @property
    def warnings(self) -> list[str]:
        """Warnings on the sound that was read so far, one sentence each."""
        seconds = self._mixer.replaced / SAMPLE_RATE
        if not seconds:
            return []
        return [
            f"the sound's channels cancel out, or have little in common, for {seconds:.1f} s: "
            "there the loudest one is judged in place of their mean"
        ]

    @property
    def lost_after(self) -> float | None:
        """The second at which the sound ended too early; None: it has not."""
        if self.end is None or self.end / SAMPLE_RATE > self.promised - SHORTFALL:
            return None
        return self.end / SAMPLE_RATE

    def skip(self, samples: int) -> None:
        """Drop the next ``samples`` samples."""
        for start in range(0, samples, SAMPLE_RATE):
            self.read(min(SAMPLE_RATE, samples - start))

    def read(self, samples: int) -> Waveform:
        """Return the next ``samples`` samples (S,); zeros where the track has none or has ended."""
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
    frames: Iterator[Any], zero: float, mixer: Mixer, progress: Callable[[], None]
) -> Iterator[tuple[int, Waveform]]:
    """Yield non-overlapping pieces of resampled sound with the position of their first sample."""
    resampler: Any = None
    kind: tuple[Any, ...] = ()
    clock = 0.0  # second at which the next frame is expected
    at, late = 0, 0  # position of the next sample; samples to drop since they overlap
    for frame in frames:
        progress()
        time = clock if frame.time is None else frame.time - zero
        jumped = abs(time - clock) > MAX_DRIFT and time - clock > -MAX_REWIND
        if resampler is None or jumped or kind != _kind(frame):
            for piece in _resampled(resampler, None, mixer):
                yield at, piece
                at += len(piece)
            begin = round((time if jumped or resampler is None else clock) * SAMPLE_RATE)
            at, late = (begin, 0) if resampler is None else (max(at, begin), max(0, at - begin))
            clock = begin / SAMPLE_RATE
            resampler, kind = av.AudioResampler(format="fltp", rate=SAMPLE_RATE), _kind(frame)
        clock += frame.samples / frame.sample_rate
        for piece in _resampled(resampler, frame, mixer):
            dropped = min(late, len(piece))
            late -= dropped
            yield at, piece[dropped:]
            at += len(piece) - dropped
    for piece in _resampled(resampler, None, mixer):
        yield at, piece
        at += len(piece)


def _frames(source: str, sound: Sound, near: float | None) -> Iterator[Any]:
    """Yield every frame of sound that can be decoded, see ``frames_from``."""
    for frame in frames_from(source, sound.index, sound.retiming, near):
        if frame.samples and frame.sample_rate in SAMPLE_RATES:
            yield frame


def _kind(frame: Any) -> tuple[Any, ...]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _resampled(resampler: Any, frame: Any, mixer: Mixer) -> Iterator[Waveform]:
    """Yield the resampler's mono samples for ``frame`` (None: the rest that it holds)."""
    if resampler is None:
        return
    if frame is not None:
        frame.pts = None  # times are kept here; the resampler only counts
    try:
        resampled = resampler.resample(frame)
    except (av.FFmpegError, ValueError):  # unknown channels or format: a gap
        return
    for out in resampled:
        mono = mixer.mono(out.to_ndarray(), [channel.name for channel in out.layout.channels])
        yield np.clip(np.nan_to_num(mono), -1.0, 1.0)


def plain_waveform(path: str | PathLike[str]) -> Waveform:
    """Return the first sound (S,) of a file, read in this process: for trusted files only."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
    with av.open(fspath(path)) as container:
        pieces = [
            out.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for out in resampler.resample(frame)
        ]
    return np.concatenate(pieces).astype(np.float32, copy=False)
