"""The frame on screen at each step, read by decord or, where decord cannot, by PyAV.

Runs in the decoder's child process. Both readers only go forwards, from the start of the file or,
if a part of a long one is requested, from one position that PyAV has sought by the file's index:
seeking is where decoders differ and where broken files cause trouble.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from extractors.clock import TOLERANCE, count_steps, frames_on_screen, step_middle
from extractors.decoding.container import frames_from
from extractors.decoding.pixels import Frame, FrameShape, ShownFrame, believed_shape, shown_size
from extractors.decoding.tracks import Picture, Tracks

# decord counts packets but returns frames: use it only where one packet is one frame for sure, and
# where its seeking to the start works (it does not in MPEG-TS).
DECORD_CODECS = ("h264", "hevc", "vp9", "mpeg4", "mjpeg")
DECORD_FORMATS = ("mov", "matroska", "avi", "flv")


def scaled_size(picture: Picture, max_side: int) -> tuple[int, int]:
    """Return width and height of the upright frames, scaled to at most ``max_side`` a side."""
    width, height = picture.upright
    scale = min(1.0, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def suits_decord(tracks: Tracks, size: tuple[int, int], most_bytes: int) -> bool:
    """Return whether decord is installed and reliable for this file.

    While decord waits for a frame it passes all packets that it can read to its decoder, which
    decodes them whether or not the frames are taken. So decord is used only if all frames of the
    picture fit in ``most_bytes``.
    """
    picture = tracks.picture
    if picture is None or not picture.regular or picture.codec not in DECORD_CODECS:
        return False
    if picture.transfer is not None:
        return False
    if len(picture.times) * size[0] * size[1] * 3 > most_bytes:
        return False
    return bool(set(DECORD_FORMATS) & set(tracks.formats)) and find_spec("decord") is not None


def decord_frames(
    source: str, picture: Picture, size: tuple[int, int], steps: range, threads: int
) -> Iterator[Frame]:
    """Yield the frame (H, W, 3) that each step shows; raises RuntimeError if decord fails.

    Frames between two steps are skipped without conversion; a frame that several steps show is
    converted once. Each array is valid until the next one is requested.
    """
    import decord

    width, height = size
    stored = picture.height, picture.width
    plain = size == (stored if picture.rotation % 180 else stored[::-1])
    scaled = {} if plain else {"width": width, "height": height}
    # decord repeats frames that it cannot decode: at the second one it raises, and PyAV takes over
    reader = decord.VideoReader(source, num_threads=threads, fault_tol=2, **scaled)
    _check_times(reader, picture.times)
    keys = np.asarray(reader.get_key_indices())
    position = 0
    pixels: Any = None
    for index in frames_on_screen(picture.times, steps).tolist():
        if index >= position:
            _pass_over(reader, keys, position, index)
            frame = reader.next()
            position = index + 1
            if frame.shape != (height, width, 3):
                raise RuntimeError(f"frame of shape {frame.shape}, not {(height, width, 3)}")
            pixels = _view(frame)
        yield pixels


def _pass_over(reader: Any, keys: npt.NDArray[np.int64], position: int, index: int) -> None:
    """Move from frame ``position`` to ``index`` without seeking."""
    if np.any((position < keys) & (keys <= index)):  # skipping would seek to that key frame
        for _ in range(index - position):
            reader.next()
    elif index > position:
        reader.skip_frames(index - position)


def _check_times(reader: Any, times: npt.NDArray[np.float64]) -> None:
    """Raise if decord does not list the same frames as the demuxer."""
    if len(reader) != len(times):
        raise RuntimeError(f"decord counts {len(reader)} frames, the demuxer {len(times)}")
    listed = np.asarray(reader.get_frame_timestamp(range(len(times))))[:, 0]
    allowed = 2e-3 + 2.0**-23 * times  # decord's are of single precision
    if np.any(np.abs((listed - listed[0]) - (times - times[0])) > allowed):
        raise RuntimeError("decord and the demuxer disagree on the times of the frames")


def _view(frame: Any) -> Frame:
    """Return a frame of decord's as an array without a copy; the array keeps the frame alive."""
    tensor = frame.handle.contents
    address = tensor.data + tensor.byte_offset
    buffer: Any = (ctypes.c_uint8 * int(np.prod(frame.shape))).from_address(address)
    buffer.owner = frame
    pixels: Frame = np.frombuffer(buffer, dtype=np.uint8)
    return pixels.reshape(frame.shape)


class PyavFrames:
    """A reader of the frames that steps show; ends early where decoding breaks off.

    In place of a frame that cannot be decoded the one before stays on screen, as in a player.
    """

    def __init__(
        self,
        source: str,
        picture: Picture,
        size: tuple[int, int],
        threads: int,
        zero: float,
        progress: Callable[[], None],
    ) -> None:
        self._source, self._picture, self._size, self._threads = source, picture, size, threads
        self._zero, self._progress = zero, progress
        self._changed: tuple[float, tuple[int, int]] | None = None  # second, size of another shape

    @property
    def warnings(self) -> list[str]:
        """Warnings on the frames that were decoded so far, one sentence each."""
        if self._changed is None:
            return []
        second, size = self._changed
        shape = f"{self._picture.upright[0]}x{self._picture.upright[1]}"
        return [
            f"the picture changes its size from {shape} to {size[0]}x{size[1]} at {second:.1f} s: "
            "what follows is fitted into the first size"
        ]

    def frames(self, steps: range, near: float | None = None) -> Iterator[Frame]:
        """Yield the frame that each step shows.

        near: second since the common zero shortly before which reading begins; None: at the start.
        """
        step, time = steps.start, 0.0
        shown: ShownFrame | None = None
        for time, frame in self._timed_frames(near):
            self._progress()
            while shown is not None and step < steps.stop and step_middle(step) < time:
                yield shown.pixels
                step += 1
            if step >= steps.stop:
                return
            shown = ShownFrame(frame, self._look(frame, time), self._threads)
        broken_off = self._picture.times[-1] - time > 0.1
        while shown is not None and step < (count_steps(time) if broken_off else steps.stop):
            yield shown.pixels
            step += 1

    def _look(self, frame: Any, time: float) -> FrameShape:
        """Return how a frame is shown, and note the first frame of another size."""
        picture = self._picture
        shape = picture.shape * believed_shape(frame.opaque) / picture.coded_shape
        size = shown_size(frame.width, frame.height, shape)
        first = shown_size(picture.width, picture.height, picture.shape)
        if self._changed is None and size != first:
            self._changed = time, size[::-1] if picture.rotation % 180 else size
        return FrameShape(self._size, picture.rotation, shape, picture.transfer)

    def _timed_frames(self, near: float | None) -> Iterator[tuple[float, Any]]:
        """Yield every frame that can be decoded, with its second since zero, never backwards."""
        latest, picture, zero = -np.inf, self._picture, self._zero
        begin = None if near is None else zero + near
        frames = frames_from(self._source, picture.index, picture.retiming, begin, self._threads)
        for count, frame in enumerate(frames):
            own = picture.times[min(count, len(picture.times) - 1)]
            time = own if frame.time is None else frame.time - zero
            if time <= picture.times[-1] + TOLERANCE:  # later ones are strays, see `TrackClock`
                latest = max(latest, time)
                yield latest, frame


def plain_frames(path: str | PathLike[str]) -> Iterator[Frame]:
    """Yield every frame (H, W, 3) of a file, one after the other: a lower bound for benchmarks.

    By decord, or PyAV if decord is not installed, in this process: for trusted files only.
    """
    if find_spec("decord") is None:
        import av

        with av.open(os.fspath(path)) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
        return
    import decord

    reader = decord.VideoReader(os.fspath(path))
    for start in range(0, len(reader), 64):
        yield from reader.get_batch(range(start, min(start + 64, len(reader)))).asnumpy()
