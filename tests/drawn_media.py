"""Small files of drawn tracks, written by PyAV: numbered frames, beeps, several tracks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from extractors.media import SAMPLES_PER_STEP, Clip

RATE = 16_000
SIZE = (32, 64)


def numbered(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A frame whose upper half spells its number in eight bright or dark blocks."""
    height, width = size
    frame = np.full((height, width, 3), 60, np.uint8)
    for bit in range(8):
        block = slice(bit * width // 8, (bit + 1) * width // 8)
        frame[: height // 2, block] = 235 if number >> bit & 1 else 20
    return frame


def numbers(frames: np.ndarray) -> list[int]:
    """The numbers that the frames spell."""
    height, width = frames.shape[1:3]
    rows = frames[:, height // 8 : height * 3 // 8].mean(axis=(1, 3))  # (T, W)
    centres = [(2 * bit + 1) * width // 16 for bit in range(8)]
    return [sum(int(row[x] > 127) << bit for bit, x in enumerate(centres)) for row in rows]


def beep(seconds: float, at: Iterable[float], rate: int = RATE) -> np.ndarray:
    """Silence with 50 ms of a 1 kHz tone at the seconds ``at``."""
    waveform = np.zeros(round(seconds * rate), np.float32)
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate // 20) / rate + 0.5)
    for second in at:
        waveform[round(second * rate) :][: len(tone)] = tone[: len(waveform) - round(second * rate)]
    return waveform


def onsets(waveform: np.ndarray) -> list[float]:
    """The seconds at which beeps begin."""
    loud = np.flatnonzero(np.abs(waveform) > 0.2)
    return [float(at) / RATE for at in loud[np.r_[True, np.diff(loud) > RATE // 10]]]


@dataclass(frozen=True)
class DrawnPicture:
    """A track of numbered frames."""

    shown: Sequence[int]  # the number of each frame
    times: Sequence[float] | None = None  # seconds; None: 25 a second
    size: tuple[int, int] = SIZE
    codec: str = "libx264"
    pixels: str = "yuv420p"
    pixel_shape: Fraction = Fraction(1)
    default: bool = True
    transfer: int | None = None  # of ITU-T H.273
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DrawnSound:
    """A track of sound."""

    waveform: np.ndarray  # (S,) or (C, S) at 16 kHz
    start: float = 0.0  # seconds
    codec: str = "aac"
    layout: str = "mono"
    default: bool = True
    language: str | None = None


def write_tracks(
    path: Path, *tracks: DrawnPicture | DrawnSound, interleaved: bool = True, **options: str
) -> Path:
    """Write tracks to a file, by time or one after the other; the options are the container's."""
    with av.open(str(path), "w", options=options) as container:
        streams = [_stream(container, track) for track in tracks]
        packets: list[Any] = []
        for stream, track in zip(streams, tracks, strict=True):
            coded = _frames(track) if isinstance(track, DrawnPicture) else _samples(track)
            packets += [packet for frame in (*coded, None) for packet in stream.encode(frame)]
        if interleaved:
            packets.sort(key=lambda packet: packet.dts * packet.time_base)
        for packet in packets:
            container.mux_one(packet)
    return path


def _stream(container: Any, track: DrawnPicture | DrawnSound) -> Any:
    if isinstance(track, DrawnPicture):
        stream = container.add_stream(track.codec, rate=25, options=track.options)
        stream.height, stream.width, stream.pix_fmt = *track.size, track.pixels
        stream.codec_context.sample_aspect_ratio = track.pixel_shape
        if track.codec == "libx264":
            stream.codec_context.time_base = Fraction(1, 90_000)
        if track.transfer is not None:
            stream.codec_context.color_trc = track.transfer
    else:
        stream = container.add_stream(track.codec, rate=RATE, layout=track.layout)
        if track.language:
            stream.metadata["language"] = track.language
    stream.disposition = Disposition.default if track.default else Disposition(0)
    return stream


def _frames(track: DrawnPicture) -> Iterable[Any]:
    times = track.times or [index / 25 for index in range(len(track.shown))]
    base = Fraction(1, 90_000 if track.codec == "libx264" else 25)
    for number, second in zip(track.shown, times, strict=True):
        frame = av.VideoFrame.from_ndarray(numbered(number, track.size), "rgb24")
        frame.time_base, frame.pts = base, round(second / base)
        yield frame


def _samples(track: DrawnSound) -> Iterable[Any]:
    waveform = np.atleast_2d(track.waveform).astype(np.float32)
    for at in range(0, waveform.shape[1], RATE):
        piece = np.ascontiguousarray(waveform[:, at : at + RATE])
        frame = av.AudioFrame.from_ndarray(piece, "fltp", track.layout)
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = at + round(track.start * RATE)
        yield frame


def joined(path: Path, *parts: Path) -> Path:
    """Write what the parts hold, one after the other, as ``cat`` does."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def chunks(frames: np.ndarray | None, waveform: np.ndarray | None, size: int) -> Iterator[Clip]:
    """Yield frames and waveform in chunks of `size` steps, as a reader does."""
    steps = len(frames) if frames is not None else len(waveform) // SAMPLES_PER_STEP
    for start in range(0, steps, size):
        stop = min(start + size, steps)
        yield Clip(
            start,
            None if frames is None else frames[start:stop],
            None
            if waveform is None
            else waveform[start * SAMPLES_PER_STEP : stop * SAMPLES_PER_STEP],
        )
