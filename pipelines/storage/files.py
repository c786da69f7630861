"""Atomic writing of files: whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: Any) -> None:
    """Write bytes atomically: no reader ever sees a part of them, whatever happens in between."""
    write_by(path, lambda partial: partial.write_bytes(content))


def write_by(path: Path, write: Callable[[Path], object], suffix: str = "") -> None:
    """Let `write` fill a temporary file beside `path`, which replaces it once it is on the disk.

    The temporary file is removed if `write` fails.

    suffix: of the temporary file, for writers that choose a format by it.
    """
    partial = path.with_name(f".{path.name}.partial{suffix}")
    try:
        write(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
