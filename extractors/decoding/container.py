"""A media file opened by PyAV without trusting its name or its content.

Runs in the decoder's child process (see ``decoder_child``), since a stranger's file may crash or
hang the libraries that read it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

# Playlists and scripts (hls, dash, concat, …) are left out on purpose: they open other files.
FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,av1,caf,dts,dv,eac3,flac,flv,gif,h264,hevc,ivf,"
    "m4v,matroska,webm,mjpeg,mov,mp4,m4a,3gp,3g2,mj2,mp2,mp3,mpeg,mpegts,mpegvideo,mxf,nut,obu,"
    "ogg,rm,tta,vc1,voc,w64,wav,wv,wtv,yuv4mpegpipe"
)
MAX_SIDE = 16_384  # pixels; 8K is 7,680, and H.264 itself ends here
MAX_PIXELS = 100_000_000  # of one frame
MAX_GAP = 60.0  # seconds; what comes later than this after the one before is not believed
SAMPLE_RATES = range(1_000, 800_000)  # Hz
MAX_FAILURES = 16  # in a row, to find the next packet in a damaged file
INDEXED_FORMATS = ("mov", "matroska")  # whose index is believed when only a part is to be read
# seconds read before that part: decoders need a moment to settle, and the first frames after a key
# frame may build on those before it
RUN_UP = 2.0


IMAGE_SIGNATURES = (
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"\xff\xd8\xff"),  # JPEG
    (0, b"BM"),
    (0, b"II*\x00"),  # TIFF
    (0, b"MM\x00*"),
    (8, b"WEBP"),
    (4, b"ftypavif"),
    (4, b"ftypheic"),
    (4, b"ftypheix"),
    (4, b"ftypmif1"),
)


class UnfitFileError(Exception):
    """The file cannot be judged; the message is the cause, to be put after the file's name."""


def open_source(path: str) -> str:
    """A name for the file at ``path`` whose ending and first letters tell FFmpeg nothing.

    So the content decides what the file is, and no name is taken for a protocol or a pattern.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)  # stays open as long as the child lives
    except OSError as error:
        raise UnfitFileError(f"cannot be opened ({error.strerror})") from error
    head = os.pread(descriptor, 32, 0)
    if any(head[at : at + len(sign)] == sign for at, sign in IMAGE_SIGNATURES):
        raise UnfitFileError("is an image, not a video")
    name = f"/proc/self/fd/{descriptor}"
    return name if Path(name).exists() else path


def open_container(source: str) -> Any:
    """The opened PyAV container of ``source``."""
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        return av.open(source, options=options, metadata_errors="ignore")
    except (av.FFmpegError, ValueError, OSError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise UnfitFileError(f"is not a video or sound file that can be read ({cause})") from error


def packets(container: Any, *streams: Any) -> Iterator[Any]:
    """The packets of ``streams`` to the end of the file, past damage where the format allows it."""
    failures = 0
    while failures < MAX_FAILURES:
        try:
            for packet in container.demux(*streams):
                yield packet
                failures = 0
            return
        except (av.FFmpegError, OSError):
            failures += 1


def decoded(packet: Any) -> list[Any]:
    """The frames that come out of the decoder for ``packet``; none where it is broken."""
    try:
        return list(packet.decode())
    except (av.FFmpegError, ValueError, OSError):
        return []


def frames_from(source: str, track: int, near: float | None, threads: int = 0) -> Iterator[Any]:
    """Every frame of a track that can be decoded, of a part alone where that is possible.

    near: second on the container's clock shortly before which reading begins; None: at the start,
    as where the file's index is missing or leads too far. threads: of the decoder; 0: its own.
    """
    if near is not None:
        frames = (f for f in _frames(source, track, near, threads) if f.time is not None)
        first = next(frames, None)
        if first is not None and first.time <= near:
            yield first
            yield from frames
            return
    yield from _frames(source, track, None, threads)


def _frames(source: str, track: int, near: float | None, threads: int) -> Iterator[Any]:
    with open_container(source) as container:
        stream = container.streams[track]
        if threads:
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = threads
        if near is not None:
            try:
                container.seek(round((near - RUN_UP) / stream.time_base), stream=stream)
            except (av.FFmpegError, OSError):
                return
        for packet in packets(container, stream):
            yield from decoded(packet)


def refuse_absurd(width: int, height: int) -> None:
    """Raise where frames are too large for memory."""
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise UnfitFileError(
            f"has frames of {width}x{height} pixels; at most {MAX_SIDE} a side "
            f"and {MAX_PIXELS // 1_000_000} million in all can be read"
        )
