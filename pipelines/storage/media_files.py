"""Media files, recognised by their suffix."""

from __future__ import annotations

from pathlib import PurePosixPath

# Suffixes that folders are searched for: formats that FFmpeg commonly reads.
SUFFIXES = frozenset((
    ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg",
    ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
    ".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".wma",
))  # fmt: skip


def is_media(name: str) -> bool:
    """Return whether a name has the suffix of a media file."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES
