"""The chunks of a file, with PyAV as a second decoder where decord fails, crashes or hangs."""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from extractors.clock import SAMPLES_PER_STEP
from extractors.decoding.frame_memory import FrameMemory
from extractors.decoding.process import DecoderError, DecoderProcess

logger = logging.getLogger(__name__)


Chunk = tuple[int, npt.NDArray[np.uint8] | None, npt.NDArray[np.float32] | None]


def check_file(path: str) -> None:
    """Raise DecoderError unless `path` is a readable regular file that is not empty."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise DecoderError(f"cannot be opened ({cause})", final=True) from None
    if stat.S_ISDIR(status.st_mode):
        raise DecoderError("is a folder, not a file", final=True)
    if not stat.S_ISREG(status.st_mode):
        raise DecoderError("is not a regular file", final=True)
    if status.st_size == 0:
        raise DecoderError("is empty (0 bytes)", final=True)
    if not os.access(path, os.R_OK):
        raise DecoderError("cannot be opened (Permission denied)", final=True)


class Decoding:
    """The decoding of one file, by decord first, by PyAV where decord fails, crashes or hangs."""

    def __init__(self, request: dict[str, Any], timeout: float) -> None:
        check_file(request["path"])
        self._request = request | {"path": str(Path(request["path"]).absolute())}
        self._timeout = timeout
        self._lock = threading.Lock()  # guards the two below: ``stop`` comes from another thread
        self.stopped = False
        self._process: DecoderProcess | None = None
        self._memory: FrameMemory | None = None  # where there is a picture
        self.plan = self._start(first=request["start"])
        self.warnings: list[str] = self.plan["warnings"]
        if self.plan["size"] is not None:
            width, height = self.plan["size"]
            self._memory = FrameMemory((self.plan["chunk_steps"], height, width, 3))

    def chunks(self) -> Iterator[Chunk]:
        """Yield every chunk: first step, frames (T, H, W, 3) uint8 and waveform (S,) float32.

        Raises:
            DecoderError: no decoder can read on.
        """
        step = self._request["start"]
        while self._process is not None:
            try:
                chunk = self._next_chunk(self._process)
            except DecoderError as failure:
                if failure.final or self.plan["reader"] == "pyav":
                    raise
                logger.info(
                    "%s %s; PyAV takes over at step %d", self._request["path"], failure, step
                )
                self.plan["reader"] = self._request["reader"] = "pyav"
                self._start(first=step)
                continue
            if chunk is None:
                return
            frames, waveform = chunk
            yield step, frames, waveform
            step += len(frames) if frames is not None else len(waveform) // SAMPLES_PER_STEP

    def stop(self) -> None:
        """Kill the decoder, so that a thread that waits for a chunk fails at once."""
        with self._lock:
            self.stopped = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End and reap the child; no thread may be waiting for a chunk."""
        self.stop()
        if self._process is not None:
            self._process.close()
            self._process = None
        if self._memory is not None:
            self._memory.close()

    def _start(self, first: int) -> dict[str, Any]:
        """Start a child in place of the old one and return its plan."""
        with self._lock:
            if self._process is not None:
                self._process.close()
                self._process = None
            if self.stopped:
                raise DecoderError("was closed", final=True)
            process = DecoderProcess(self._request | {"first": first}, self._timeout)
            self._process = process
        try:
            return process.read_json(process.receive()[1])
        except BaseException:
            self.close()
            raise

    def _next_chunk(self, process: DecoderProcess) -> Any:
        """Return the frames and the waveform of the next chunk; None at the end."""
        frames, lent = None, None
        if self._memory is not None:
            lent = self._memory.lend()
            process.lend(lent)
        try:
            while True:
                kind, length = process.receive()
                if kind == b"e":
                    self.warnings += process.read_json(length)["warnings"]
                    return None
                if kind == b"f" and self._memory is not None and lent is not None:
                    frames = self._memory.frames(lent, process.read_json(length)["count"])
                    lent = None
                elif kind == b"c":
                    waveform = np.empty(length // 4, np.float32) if self.plan["sound"] else None
                    if waveform is not None:
                        process.read_into(waveform.data.cast("B"))
                    return frames, waveform
        finally:
            if self._memory is not None and lent is not None:
                self._memory.give_back(lent)
