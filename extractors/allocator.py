"""Memory that is free inside this process, given back to the system."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


@cache
def _trim() -> Any:
    """Return glibc's `malloc_trim`; None: another allocator, which is left alone."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):  # Windows, macOS, musl
        return None


def release_free_memory() -> None:
    """Give back what was freed in pieces: glibc keeps a few hundred MB of them resident.

    Takes milliseconds; worth it between two stages that allocate in different sizes.
    """
    trim = _trim()
    if trim is not None:
        trim(0)
