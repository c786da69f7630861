"""Access to files by URI: their file system, their kind, the objects below a folder.

Object names are not percent-encoded, so `s3://bucket/my clip #1.mp4` is written as it is; only
`file://` URIs are percent-encoded, as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


def is_uri(path: str) -> bool:
    """Return whether the path begins with a scheme, such as `s3://` or `file://`."""
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", path) is not None


def filesystem_of(uri: str) -> tuple[FileSystem, str]:
    """Return the file system of a URI, by pyarrow or else by fsspec, and the path within it.

    Raises:
        OSError: no library here can open such a URI, or its host does not answer.
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
    """Return the kind of object at a URI; None: there is none.

    Raises:
        OSError: the file system cannot be reached.
    """
    from pyarrow.fs import FileType

    system, path = filesystem_of(uri)
    kinds: dict[FileType, Literal["file", "folder"] | None]
    kinds = {FileType.NotFound: None, FileType.Directory: "folder"}
    return kinds.get(system.get_file_info(path).type, "file")


def objects_below(folder: str) -> Iterator[str]:
    """Yield the URIs of all objects below a URI, sorted folder by folder.

    Only the names of one folder are in memory at a time: those of a whole bucket might fill it.
    Google's buckets are the exception, since pyarrow lists a folder there only if an object stands
    for it.

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
    """Return a URI percent-encoded, as pyarrow expects it."""
    if uri.startswith("file://"):
        return uri
    scheme, rest = uri.split("://", 1)
    place, slash, name = rest.partition("/")
    return f"{scheme}://{place}{slash}{quote(name)}"


def _as_named(folder: str, name: str) -> str:
    """Return an object's name as URIs below the folder write it."""
    return quote(name) if folder.startswith("file://") else name
