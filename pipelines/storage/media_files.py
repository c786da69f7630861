"""Media files, recognised by their suffix."""

from __future__ import annotations

from pathlib import PurePosixPath

# Suffixes that folders are searched for: formats that FFmpeg commonly reads.
SUFFIXES = frozenset((
    ".264", ".265", ".3g2", ".3gp", ".3gpp", ".asf", ".avi", ".dv", ".f4v", ".flv", ".h264",
    ".h265", ".hevc", ".ivf", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4",
    ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
    ".aac", ".ac3", ".aif", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".mp3", ".oga", ".ogg",
    ".opus", ".wav", ".wma",
))  # fmt: skip


def is_media(name: str) -> bool:
    """Return whether a name has the suffix of a media file."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES
