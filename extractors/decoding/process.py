"""A decoder in a process of its own, with a time limit.

Reading cannot hang: it waits at most ``timeout`` seconds for the child's next sign of life. No
process is left behind: the child is killed and reaped when reading ends, fails or is abandoned,
and ends by itself when this process is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

HEADER_BYTES = 9  # of a message: see ``extractors.decoding.child``
# decord gives up after a number of polls for the last frames, however fast they follow: on a busy
# machine its default of 10,240 is used up before the decoder has done anything.
DECORD_PATIENCE = {"DECORD_EOF_RETRY_MAX": "1000000"}
# By default glibc returns every picture's memory to the system, which zeroes it for the next one.
KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**28), "MALLOC_TRIM_THRESHOLD_": str(2**29)}
ROOT = str(Path(__file__).resolve().parents[2])


class DecoderError(Exception):
    """The child failed, crashed or hung. ``final``: the file is unfit, and retrying is no use."""

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
            "from extractors.decoding.child import main; main(request)"
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
        """Lend the child the file that it writes a chunk's frames to."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the next read tells why
            socket.send_fds(self._lender, [b"f"], [descriptor])

    def receive(self) -> tuple[bytes, int]:
        """Return the next message's kind and the length of its content, which must be read next.

        Raises:
            DecoderError: the child cannot read the file, has ended, or makes no progress.
        """
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
        """Return the content of a message as a dict."""
        content = bytearray(length)
        self.read_into(memoryview(content))
        return dict(json.loads(content))

    def read_into(self, view: memoryview) -> None:
        """Fill ``view`` with the child's next bytes."""
        while view:
            if not self._poll.poll(self._timeout * 1000):
                raise DecoderError(f"made no progress in decoding for {self._timeout:g} s")
            count = os.readv(self._pipe, [view])
            if count == 0:
                raise DecoderError(self._last_words())
            view = view[count:]

    def kill(self) -> None:
        """Kill the child; reading from it then fails."""
        if os.getpid() == self._owner:  # a fork of the owner must leave the child alone
            self._process.kill()

    def close(self) -> None:
        """End and reap the child; no thread may be reading from it."""
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
