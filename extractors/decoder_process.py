"""A decoder in a process of its own, with a time limit and a second try.

Nothing here can hang: whoever waits for the child waits at most ``timeout`` seconds for its next
sign of life. Nothing is left behind: the child is killed and collected when reading ends, fails or
is given up, and ends by itself when this process is gone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from extractors.clock import SAMPLES_PER_STEP
from extractors.frame_memory import FrameMemory

logger = logging.getLogger(__name__)

HEADER_BYTES = 9  # of a message: see ``decoder_child``
# decord counts how often it looks in vain for the last frames, however fast it looks: on a busy
# machine its usual 10,240 looks are over before the decoder has got round to anything.
DECORD_PATIENCE = {"DECORD_EOF_RETRY_MAX": "1000000"}
# glibc would give every picture's memory back to the system, which zeroes it for the next one.
KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**28), "MALLOC_TRIM_THRESHOLD_": str(2**29)}
ROOT = str(Path(__file__).resolve().parent.parent)

Chunk = tuple[int, npt.NDArray[np.uint8] | None, npt.NDArray[np.float32] | None]


class DecoderError(Exception):
    """The child gave up, crashed or hung. ``final``: it found the file unfit, no use to retry."""

    def __init__(self, cause: str, final: bool = False) -> None:
        super().__init__(cause)
        self.final = final


class DecoderProcess:
    """One child process and the messages it sends."""

    def __init__(self, request: dict[str, Any], timeout: float) -> None:
        # The child gets this process's own search path, so that it finds the same packages
        # wherever they are and takes nothing from the folder that it happens to run in.
        script = (
            "import json, sys; paths, request = json.loads(sys.argv[1]); sys.path[:] = paths; "
            "from extractors.decoder_child import main; main(request)"
        )
        paths = [ROOT, *(str(Path(path).absolute()) for path in sys.path)]
        self._pipe, output = os.pipe()
        self._lender, borrower = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", script, json.dumps([paths, request])],
                stdin=borrower.fileno(),
                stdout=output,
                stderr=subprocess.DEVNULL,
                env=os.environ | DECORD_PATIENCE | KEPT_MEMORY,
            )
        except OSError:
            os.close(self._pipe)
            self._lender.close()
            raise
        finally:
            os.close(output)
            borrower.close()
        self._owner = os.getpid()
        self._timeout = timeout
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)

    def lend(self, descriptor: int) -> None:
        """Let the child write the frames of a chunk to a file."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # reading tells why
            socket.send_fds(self._lender, [b"f"], [descriptor])

    def receive(self) -> tuple[bytes, int]:
        """The next message's kind and the length of its content, which must be read next."""
        while True:
            header = memoryview(bytearray(HEADER_BYTES))
            self.read_into(header)
            kind, length = bytes(header[:1]), int.from_bytes(header[1:], "little")
            if kind == b"x":
                failure = self.read_json(length)
                raise DecoderError(failure["cause"], failure["final"])
            if kind != b"t":
                return kind, length

    def read_json(self, length: int) -> dict[str, Any]:
        """The content of a message as a dict."""
        content = bytearray(length)
        self.read_into(memoryview(content))
        return dict(json.loads(content))

    def read_into(self, view: memoryview) -> None:
        """Fill ``view`` with what comes next."""
        while view:
            if not self._poll.poll(self._timeout * 1000):
                raise DecoderError(f"made no progress in decoding for {self._timeout:g} s")
            count = os.readv(self._pipe, [view])
            if count == 0:
                raise DecoderError(self._last_words())
            view = view[count:]

    def kill(self) -> None:
        """End the child, whatever it does; reading from it then fails."""
        if os.getpid() == self._owner:  # a fork of the owner must leave the child alone
            self._process.kill()

    def close(self) -> None:
        """End and collect the child; nobody may be reading from it."""
        self.kill()
        if os.getpid() == self._owner:
            self._process.wait()
        self._lender.close()
        os.close(self._pipe)

    def _last_words(self) -> str:
        try:
            code = self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            return "left the decoder without an answer"
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"crashed the decoder ({signal.Signals(-code).name})"
        return f"ended the decoder (exit status {code})"


def check_file(path: str) -> None:
    """Raise DecoderError where there is no readable file with something in it."""
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
    """The chunks of one file: decord's first, PyAV's where decord fails, crashes or hangs."""

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
        """Every chunk: its first step, frames (T, H, W, 3) uint8 and waveform (S,) float32."""
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
        """Make whoever waits for a chunk fail at once."""
        with self._lock:
            self.stopped = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End and collect the child; nobody may be waiting for a chunk."""
        self.stop()
        if self._process is not None:
            self._process.close()
            self._process = None
        if self._memory is not None:
            self._memory.close()

    def _start(self, first: int) -> dict[str, Any]:
        """Start a child, the old one being ended, and return its plan."""
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
        """The frames and the waveform of the next chunk; None at the end."""
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
