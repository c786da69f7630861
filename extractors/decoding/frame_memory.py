"""Shared memory through which the decoder's process hands over frames without a copy.

Frames of 720p are 70 MB a second: through a pipe, both sides would copy them once more and the
kernel would zero new pages for every chunk.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref

import numpy as np
import numpy.typing as npt

POPULATE = getattr(mmap, "MAP_POPULATE", 0)  # Linux: one call in place of a fault a page


class FrameMemory:
    """Anonymous files in memory, one per chunk; each is reused once its frames are released."""

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        self._shape = shape  # (T, H, W, 3) of a whole chunk
        self._free: list[int] = []  # descriptors
        self._closed = False

    def lend(self) -> int:
        """Return the descriptor of a file with room for a chunk, for `frames` or `give_back`."""
        try:
            return self._free.pop()
        except IndexError:
            return _memory_file(int(np.prod(self._shape)))

    def frames(self, descriptor: int, count: int) -> npt.NDArray[np.uint8]:
        """Return the first frames (count, H, W, 3) of a lent file; freeing them gives it back."""
        size = int(np.prod(self._shape))
        memory = mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED | POPULATE)
        weakref.finalize(memory, self.give_back, descriptor).atexit = False
        return np.frombuffer(memory, np.uint8).reshape(self._shape)[:count]

    def give_back(self, descriptor: int) -> None:
        """Take back a lent file."""
        if self._closed:
            os.close(descriptor)
        else:
            self._free.append(descriptor)

    def close(self) -> None:
        """Free all memory except that of frames that are still referenced."""
        self._closed = True
        while self._free:
            os.close(self._free.pop())


def _memory_file(size: int) -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("frames")
    else:  # not Linux: the system keeps a short-lived file in memory while there is room
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
