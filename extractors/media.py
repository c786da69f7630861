"""Reading and writing of media files on the 25 Hz clock.

A file is read in a child process (see ``extractors.decoding.process``) in chunks of bounded size in
bytes, so that neither a long nor a broken file can fill memory or crash this process. Step t
shows the frame on screen at its middle, by presentation time; sound is mono at 16 kHz. The longest
track decides how many steps there are: where the picture has ended, chunks have sound alone; where
the sound has not begun or has ended, it is filled up with zeros.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import weakref
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from extractors.clip import Clip, MediaConfig, MediaError, MediaInfo
from extractors.clock import SAMPLE_RATE, SAMPLES_PER_STEP, STEP_RATE
from extractors.decoding.chunks import Decoding, check_file
from extractors.decoding.process import DecoderError, DecoderProcess
from extractors.encoding import reencode_frames, reencode_waveform, write_clip

__all__ = [
    "SAMPLES_PER_STEP",
    "SAMPLE_RATE",
    "STEP_RATE",
    "Clip",
    "MediaConfig",
    "MediaError",
    "MediaInfo",
    "MediaReader",
    "file_sha256",
    "open_media",
    "probe",
    "read_chunks",
    "read_clip",
    "read_facts",
    "reencode_frames",
    "reencode_waveform",
    "write_clip",
]

PathLike = str | os.PathLike[str]


class MediaReader:
    """An open file: iterate once over its Clips, in order. Close it, or use it in a ``with``.

    The next chunk is decoded while the caller works on the current one.
    """

    info: MediaInfo
    steps: int  # T of the whole file; fewer come where the picture breaks off
    reached: int  # step after the last one that was handed out

    def __init__(
        self, path: PathLike, config: MediaConfig, span: range | None = None, sound_track: int = 0
    ) -> None:
        self.info, self._decoding = _start(path, config, False, span, sound_track)
        self.steps = int(self._decoding.plan["steps"])
        self.reached = 0 if span is None else span.start
        self._chunks: queue.Queue[Any] = queue.Queue()
        self._wanted = threading.Semaphore(1)  # one chunk ahead
        arguments = (self._decoding, self._wanted, self._chunks)
        thread = threading.Thread(target=_prefetch, args=arguments, daemon=True)
        # Must not know the reader, or a forgotten one would never be collected.
        self._finalizer = weakref.finalize(self, _shut, self._decoding, self._wanted, thread)
        thread.start()

    @property
    def reader(self) -> str:
        """Which library reads the picture now: "decord" or "pyav"."""
        return str(self._decoding.plan["reader"])

    @property
    def warnings(self) -> list[str]:
        """Warnings on the file so far, one sentence each."""
        return list(self._decoding.warnings)

    def __iter__(self) -> Iterator[Clip]:
        return self

    def __next__(self) -> Clip:
        if not self._finalizer.alive:
            raise StopIteration
        chunk = self._chunks.get()
        if isinstance(chunk, Clip):
            self._wanted.release()
            self.reached = chunk.start + chunk.steps
            return chunk
        self.close()
        if isinstance(chunk, DecoderError):
            raise MediaError(f"{self.info.path} {chunk}")
        if chunk is not None:
            raise chunk
        raise StopIteration

    def close(self) -> None:
        """End the decoder; chunks that were not read are dropped."""
        self._finalizer()

    def __enter__(self) -> MediaReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _start(
    path: PathLike,
    config: MediaConfig,
    probe: bool,
    span: range | None = None,
    sound_track: int = 0,
) -> tuple[MediaInfo, Decoding]:
    """Return the file's properties, and its decoding, already started."""
    name = os.fspath(path)
    start, stop = (0, None) if span is None else (span.start, span.stop)
    request = asdict(config) | {"path": name, "probe": probe, "facts": False}
    request |= {"start": start, "stop": stop, "sound_track": sound_track}
    try:
        decoding = Decoding(request, config.timeout)
    except DecoderError as failure:
        raise MediaError(f"{name} {failure}") from None
    return MediaInfo(path=name, **decoding.plan["info"]), decoding


def _prefetch(decoding: Decoding, wanted: threading.Semaphore, chunks: queue.Queue[Any]) -> None:
    """Put each requested chunk, then None or the exception that ended the reading."""
    end: BaseException | None = None
    source = decoding.chunks()
    try:
        while wanted.acquire() and not decoding.stopped:
            chunk = next(source, None)
            if chunk is None:
                break
            chunks.put(Clip(*chunk))
    except BaseException as error:  # noqa: BLE001  raised where the next chunk is requested
        end = error
    chunks.put(end)


def _shut(decoding: Decoding, wanted: threading.Semaphore, thread: threading.Thread) -> None:
    decoding.stop()
    wanted.release()
    if thread is not threading.current_thread():  # the collector may run there
        thread.join()
        decoding.close()


def open_media(
    path: PathLike,
    config: MediaConfig = MediaConfig(),
    span: range | None = None,
    sound_track: int = 0,
) -> MediaReader:
    """Return a reader of the file at ``path``.

    span: the steps to read, cut to those of the file; None: all. MP4 and Matroska files are seeked
    to a later part; in other formats the frames before it are decoded and dropped.
    sound_track: index into `MediaInfo.audio_tracks`; others than the first come without the
    picture.

    Raises:
        MediaError: the file cannot be read.
    """
    return MediaReader(path, config, span, sound_track)


def probe(path: PathLike, config: MediaConfig = MediaConfig()) -> MediaInfo:
    """Return the properties of the file at ``path``, from its packets, not only its header.

    Raises:
        MediaError: the file cannot be read.
    """
    info, decoding = _start(path, config, probe=True)
    decoding.close()
    return info


def read_facts(path: PathLike, config: MediaConfig = MediaConfig()) -> dict[str, Any]:
    """Return the metadata of the file at ``path``, see `extractors.decoding.facts`.

    Raises:
        MediaError: the file cannot be read.
    """
    name = os.fspath(path)
    request = asdict(config) | {"path": str(Path(name).absolute()), "facts": True}
    try:
        check_file(name)
        process = DecoderProcess(request, config.timeout)
        try:
            return process.read_json(process.receive()[1])
        finally:
            process.close()
    except DecoderError as failure:
        raise MediaError(f"{name} {failure}") from None


def read_chunks(path: PathLike, config: MediaConfig = MediaConfig()) -> Iterator[Clip]:
    """Yield the file's chunks in order; raises MediaError if it cannot be read."""
    with open_media(path, config) as reader:
        yield from reader


def read_clip(path: PathLike, config: MediaConfig = MediaConfig()) -> Clip:
    """Return the whole file as one Clip, for short files only: all its pixels are in memory.

    Where the picture ends before the sound, its last frame is repeated.

    Raises:
        MediaError: the file cannot be read.
    """
    frames: Any = None
    pieces: list[npt.NDArray[np.float32]] = []
    stop = 0
    with open_media(path, config) as reader:
        for chunk in reader:
            last, stop = stop, chunk.start + chunk.steps
            if chunk.frames is not None:
                if frames is None:
                    frames = np.empty((reader.steps, *chunk.frames.shape[1:]), dtype=np.uint8)
                frames[last:stop] = chunk.frames
            elif frames is not None:
                frames[last:stop] = frames[last - 1]
            if chunk.waveform is not None:
                pieces.append(chunk.waveform)
    waveform = np.concatenate(pieces) if pieces else None
    return Clip(0, None if frames is None else frames[:stop], waveform)


def file_sha256(path: PathLike) -> str:
    """Return the SHA-256 of the file's bytes in hexadecimal; raises MediaError if unreadable."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MediaError(f"{os.fspath(path)} cannot be opened ({error.strerror})") from None
