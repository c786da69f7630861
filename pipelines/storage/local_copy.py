"""Local copies of remote files, and the scratch folders that hold them."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from extractors.errors import AvdetectError
from extractors.media import MediaError
from pipelines.storage.remote import filesystem_of, is_uri
from pipelines.storage.web import is_web, web_copy

PIECE = 2**20  # bytes that are copied at once
LOCK = "lock"
STANDARD_INPUT = "-"


class ScratchError(AvdetectError):
    """There is no room for copies. The message is one sentence that names the place and cause."""


@contextmanager
def local_copy(
    path: str, folder: Path, on_bytes: Callable[[int], None] = lambda done: None
) -> Iterator[Path]:
    """Yield a local file with the content of a path or URI; a copy is removed afterwards.

    Args:
        path: a file on this machine, which is not copied, or a URI.
        folder: where a copy goes.
        on_bytes: called with the number of bytes copied so far.

    Raises:
        MediaError: the object cannot be fetched.
        ScratchError: its copy cannot be written.
    """
    if not is_uri(path):
        yield Path(path)
        return
    copy = folder / f"fetched{PurePosixPath(urlsplit(path).path if is_web(path) else path).suffix}"
    pieces = web_copy(path, folder) if is_web(path) else _pieces(path)
    with _written(copy, pieces, on_bytes):
        yield copy


@contextmanager
def judged_file(source: str) -> Iterator[Path]:
    """Yield a local file with the content of a command's argument; a copy is removed afterwards.

    Args:
        source: a path, a URI of the web or a bucket, or `-` for standard input.

    Raises:
        MediaError: it cannot be fetched, or it cannot be read; the message names the source.
        ScratchError: its copy cannot be written.
    """
    if source != STANDARD_INPUT and not is_uri(source):
        yield Path(source)
        return
    folder = scratch_folder()
    try:
        if source == STANDARD_INPUT:
            pieces = iter(lambda: sys.stdin.buffer.read(PIECE), b"")
            copied = _written(folder / "standard_input", pieces, lambda done: None)
        else:
            copied = local_copy(source, folder)
        with copied as file:
            try:
                yield file
            except MediaError as error:
                raise MediaError(str(error).replace(str(file), source)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _written(
    copy: Path, pieces: Iterator[bytes], on_bytes: Callable[[int], None]
) -> Iterator[Path]:
    """Yield a file that holds the pieces; it is removed afterwards."""
    done = 0
    try:
        try:
            with copy.open("wb") as target:
                for piece in pieces:
                    target.write(piece)
                    done += len(piece)
                    on_bytes(done)
        except OSError as error:  # of this disk: reading errors are MediaErrors by now
            cause = f"copies of remote videos cannot be written ({error.strerror})"
            raise ScratchError(f"{copy.parent}: {cause}") from error
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _pieces(uri: str) -> Iterator[bytes]:
    try:
        system, path = filesystem_of(uri)
        with system.open_input_stream(path) as source:
            while piece := source.read(PIECE):
                yield piece
    except (OSError, ValueError) as error:
        raise MediaError(f"{uri} cannot be fetched ({error})") from error


def scratch_folder(parent: Path | None = None) -> Path:
    """Return a new folder for this process's copies; those of processes that ended are removed.

    A running process holds a lock in its folder, which the system releases when it ends.
    """
    parent = parent or Path(tempfile.gettempdir()) / f"avdetect-scan-{os.getuid()}"
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.iterdir():
        if old.is_dir() and _abandoned(old):
            shutil.rmtree(old, ignore_errors=True)
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent))
        with suppress(FileNotFoundError):  # another process may remove it before it is locked
            if hold(folder / LOCK) is not None:
                return folder


def hold(path: Path) -> int | None:
    """Return a descriptor that holds the lock until it is closed; None: the lock is taken."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _abandoned(folder: Path) -> bool:
    """Return whether the folder's process has ended; a folder without a lock is just being made."""
    if not (folder / LOCK).exists():
        return False
    try:
        descriptor = hold(folder / LOCK)
    except OSError:
        return False
    if descriptor is None:
        return False
    os.close(descriptor)
    return True
