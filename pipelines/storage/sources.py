"""The videos of a source: a folder, pattern, list, manifest or URI.

They are listed lazily: a bucket of ten million objects never has to fit in memory. Remote videos
stay where they are until a worker fetches them.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from extractors.errors import InputError
from pipelines.storage.media_files import SUFFIXES, is_media
from pipelines.storage.remote import is_uri, kind_of, objects_below
from pipelines.storage.tables import OUR_NAMES, TABLES, Columns, open_table
from pipelines.storage.web import is_web

PATH_COLUMN = "path"
VANISHED = "has vanished; what was judged so far is kept"


class SourceError(InputError):
    """The source cannot be read. The message is one sentence that names it and the cause."""


@dataclass(frozen=True)
class Video:
    """A file to judge: a path on this machine or a URI, and its further manifest columns."""

    path: str
    extra: dict[str, Any] = field(default_factory=dict)


def videos_of(source: str, columns: Columns = OUR_NAMES) -> Iterator[Video]:
    """Yield the videos of a source, in the same order every time.

    Local paths are made absolute, so that a corpus is the same from every folder. Folders and
    buckets are searched at all depths for names with a media suffix; the files of patterns, lists
    and manifests are taken whatever their suffix. Relative names in a list or manifest are relative
    to its folder; `columns` maps our column `path` to the manifest's.

    Raises:
        SourceError: there is no such source, it cannot be read, or its manifest has no paths.
    """
    place = os.path.abspath(source)  # noqa: PTH100  Path's keeps the dots of ../clips
    if is_uri(source):
        yield from _uri_videos(source)
    elif Path(place).is_dir():
        yield from map(Video, _walk(place))
    elif Path(place).is_file():
        yield from _file_videos(place, columns)
    elif glob.has_magic(source):
        yield from map(Video, filter(os.path.isfile, _matches(place)))
    else:
        raise SourceError(f"{source}: no such file, folder or pattern")


def check_source(source: str) -> None:
    """Check that the source still exists, as a network drive may not.

    Raises:
        SourceError: it is gone, or a folder that had videos is empty.
    """
    if is_uri(source):
        _check_uri(source)
        return
    path = Path(source)
    while not path.exists() and glob.has_magic(str(path)):  # a pattern's fixed part
        path = path.parent
    gone = not path.exists()
    if path.is_dir():  # an unmounted drive leaves an empty folder behind
        with os.scandir(path) as entries:
            gone = next(entries, None) is None
    if gone:
        raise SourceError(f"{source} {VANISHED}")


def _check_uri(source: str) -> None:
    if is_web(source):
        return
    try:
        gone = kind_of(source) is None
    except OSError as error:  # a network that is down, rights that have run out
        raise SourceError(f"{source} {VANISHED} ({error})") from error
    if gone:
        raise SourceError(f"{source} {VANISHED}")


def extra_columns(source: str, columns: Columns = OUR_NAMES) -> list[tuple[str, str]]:
    """Return name and Arrow type of a manifest's columns other than the paths.

    Raises:
        SourceError: the manifest cannot be read or has no column of paths.
    """
    if is_uri(source) or not Path(source).is_file() or not _is_table(source):
        return []
    try:
        table = open_table(Path(source), columns)
        table.need(PATH_COLUMN)
    except (InputError, OSError) as error:
        raise _unreadable(source, error) from error
    return [(name, kind) for name, kind in table.kinds.items() if name != PATH_COLUMN]


def _is_table(source: str) -> bool:
    return PurePosixPath(source).suffix.lower() in TABLES


def _unreadable(source: str, error: Exception) -> SourceError:
    if isinstance(error, InputError):
        return SourceError(str(error))
    return SourceError(f"{source}: cannot be read ({error})")


def _matches(pattern: str) -> list[str]:
    """Return the sorted paths that match a pattern; `**` matches any depth."""
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  Path's takes no absolute ones


def _walk(folder: str) -> Iterator[str]:
    """Yield the media files below a folder, sorted folder by folder."""

    def fail(error: OSError) -> None:
        raise SourceError(f"{error.filename}: cannot be listed ({error.strerror})")

    for root, folders, names in os.walk(folder, onerror=fail):
        folders.sort()
        yield from (os.path.join(root, n) for n in sorted(names) if is_media(n))  # noqa: PTH118


def _file_videos(source: str, columns: Columns) -> Iterator[Video]:
    """Yield the videos of a file: itself, the lines of a list, or the rows of a manifest."""
    folder = Path(source).parent
    if Path(source).suffix.lower() in SUFFIXES:
        yield Video(source)
        return
    try:
        if _is_table(source):
            table = open_table(Path(source), columns)
            table.need(PATH_COLUMN)
            for _, row in table.rows():
                if path := row.pop(PATH_COLUMN):
                    yield Video(_placed(str(path), folder), row)
        else:
            with Path(source).open(encoding="utf-8-sig", newline=None) as file:
                lines = (line.rstrip("\n") for line in file)
                yield from (Video(_placed(line, folder)) for line in lines if line.strip())
    except (InputError, OSError, UnicodeDecodeError) as error:
        raise _unreadable(source, error) from error


def _placed(path: str, folder: Path) -> str:
    return path if is_uri(path) else str(folder / path)


def _uri_videos(source: str) -> Iterator[Video]:
    """Yield the media objects below a URI, or the one object at it."""
    if is_web(source):  # there are no folders on the web
        yield Video(source)
        return
    try:
        kind = kind_of(source)
        if kind == "file":
            if _is_table(source) or source.lower().endswith(".txt"):
                raise SourceError(f"{source}: a list or manifest must be on this machine")
            yield Video(source)
        elif kind == "folder":
            yield from (Video(uri) for uri in objects_below(source) if is_media(uri))
        else:
            raise SourceError(f"{source}: no such file or folder")
    except OSError as error:
        raise SourceError(f"{source}: cannot be listed ({error})") from error
