"""A URI in: the file system that holds it, what it is, the objects below it.

Names of objects are taken and given as they are, so `s3://bucket/my clip #1.mp4` is what it says;
only `file://` has its special characters percent-encoded, as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


def is_uri(path: str) -> bool:
    """Return whether the path names a place by a scheme, such as `s3://` or `file://`."""
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", path) is not None


def filesystem_of(uri: str) -> tuple[FileSystem, str]:
    """Return the file system of a URI, by pyarrow or else by fsspec, and the path within it.

    Raises:
        OSError: nothing here can open such a URI, or the place that it names does not answer.
    """
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    try:
        system, path = FileSystem.from_uri(_encoded(uri))
        return system, str(path)
    except (ValueError, NotImplementedError):  # ArrowInvalid among them: a scheme that it lacks
        pass
    try:
        import fsspec

        remote, path = fsspec.core.url_to_fs(uri)
    except (ImportError, ValueError) as error:
        raise OSError(f"cannot be opened: {error}") from error
    return PyFileSystem(FSSpecHandler(remote)), str(path)


def kind_of(uri: str) -> Literal["file", "folder"] | None:
    """Return what a URI names, None where there is nothing.

    Raises:
        OSError: it cannot be asked for.
    """
    from pyarrow.fs import FileType

    system, path = filesystem_of(uri)
    kinds: dict[FileType, Literal["file", "folder"] | None]
    kinds = {FileType.NotFound: None, FileType.Directory: "folder"}
    return kinds.get(system.get_file_info(path).type, "file")


def objects_below(folder: str) -> Iterator[str]:
    """Yield the URIs of all objects below a URI, sorted folder by folder.

    The names of one folder are in memory at a time: those of a whole bucket might fill it. Of
    Google's all are, since pyarrow sees a folder there only where somebody made an object for it.

    Raises:
        OSError: it cannot be listed.
    """
    from pyarrow.fs import FileSelector, FileType

    system, path = filesystem_of(folder)
    stem, path = folder.rstrip("/"), path.rstrip("/")
    deep = system.type_name == "gcs"
    entries = system.get_file_info(FileSelector(path, recursive=deep))
    for entry in sorted(entries, key=lambda entry: entry.path):
        name = entry.path.removeprefix(f"{path}/") if deep else entry.base_name
        uri = f"{stem}/{_as_named(folder, name)}"
        if entry.type != FileType.Directory:
            yield uri
        elif not deep:
            yield from objects_below(uri)


def _encoded(uri: str) -> str:
    """Return a URI as pyarrow takes it."""
    if uri.startswith("file://"):
        return uri
    scheme, rest = uri.split("://", 1)
    place, slash, name = rest.partition("/")
    return f"{scheme}://{place}{slash}{quote(name)}"


def _as_named(folder: str, name: str) -> str:
    """Return a name as it stands in the URIs of a folder."""
    return quote(name) if folder.startswith("file://") else name
