"""Media files opened by PyAV without trusting their names or content.

Runs in the decoder's child process (see ``extractors.decoding.child``), since an untrusted file may
crash or hang the libraries that read it.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from extractors.decoding.images import image_kind
from extractors.decoding.sections import Retiming

# Playlists and scripts (hls, dash, concat, …) are left out on purpose: they open other files.
FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,av1,caf,dts,dv,eac3,flac,flv,gif,h264,hevc,ivf,jpeg_pipe,"
    "m4v,matroska,webm,mjpeg,mov,mp4,m4a,3gp,3g2,mj2,mp2,mp3,mpeg,mpegts,mpegvideo,mpjpeg,mxf,nut,"
    "obu,ogg,rm,tta,vc1,voc,w64,wav,wv,wtv,yuv4mpegpipe"
)
MAX_SIDE = 16_384  # pixels; 8K is 7,680, and H.264 itself ends here
MAX_PIXELS = 100_000_000  # of one frame
SAMPLE_RATES = range(1_000, 800_000)  # Hz
MAX_FAILURES = 16  # in a row, to find the next packet in a damaged file
INDEXED_FORMATS = ("mov", "matroska")  # whose index is used to seek when only a part is to be read
# seconds read before that part: decoders need a moment to settle, and the first frames after a key
# frame may refer to those before it
RUN_UP = 2.0


FLV_HEADER = re.compile(rb"FLV\x01[\x00-\x05]\x00\x00\x00\x09\x00\x00\x00\x00")  # 13 bytes


class UnfitFileError(Exception):
    """The file cannot be read; the message is the cause, to be put after the file's name."""


def open_source(path: str) -> str:
    """Return a neutral name (a file descriptor's) by which FFmpeg opens the file at ``path``.

    So the content alone decides the format, and no name is taken for a protocol or a pattern.

    Raises:
        UnfitFileError: the file cannot be opened, or is an image.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)  # stays open as long as the child lives
    except OSError as error:
        raise UnfitFileError(f"cannot be opened ({error.strerror})") from error
    image = image_kind(descriptor)
    if image is not None:
        raise UnfitFileError(image)
    name = f"/proc/self/fd/{descriptor}"
    return _joined_flv(descriptor, name) if Path(name).exists() else path


def _joined_flv(descriptor: int, name: str) -> str:
    """Return a name for the file; for FLV files joined byte by byte, one without inner headers.

    FFmpeg would stop at those.
    """
    if os.pread(descriptor, 3, 0) != b"FLV":
        return name
    with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as content:
        inner = [match.start() for match in FLV_HEADER.finditer(content) if match.start()]
    parts = zip([0, *(at + 13 for at in inner)], [*inner, 0], strict=True)
    joined = "|".join(f"subfile,,start,{a},end,{b},,:{name}" for a, b in parts)
    return f"concat:{joined}" if inner else name


def open_container(source: str) -> Any:
    """Return the opened PyAV container of ``source``; raises UnfitFileError if it is no media."""
    protocols = "concat,subfile,file" if source.startswith("concat:") else "file"
    options = {"format_whitelist": FORMATS, "protocol_whitelist": protocols}
    try:
        return av.open(source, options=options, metadata_errors="ignore")
    except (av.FFmpegError, ValueError, OSError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise UnfitFileError(f"is not a video or sound file that can be read ({cause})") from error


def packets(container: Any, *streams: Any) -> Iterator[Any]:
    """Yield the packets of ``streams``, going on past damage where the format allows it."""
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
    """Return the frames that the decoder gives for ``packet``; none where it is broken."""
    try:
        return list(packet.decode())
    except (av.FFmpegError, ValueError, OSError):
        return []


def frames_from(
    source: str, track: int, retiming: Retiming, near: float | None, threads: int = 0
) -> Iterator[Any]:
    """Yield every frame of a track that can be decoded, from `near` on if the file can be seeked.

    retiming: maps the packets to the file's common clock.
    near: second on that clock shortly before which reading begins; None: at the start, as also
    where the file's index is missing or leads too far. threads: of the decoder; 0: its default.
    """
    if near is not None and not retiming.needed:
        frames = (f for f in _frames(source, track, retiming, near, threads) if f.time is not None)
        first = next(frames, None)
        if first is not None and first.time <= near:
            yield first
            yield from frames
            return
    yield from _frames(source, track, retiming, None, threads)


def _frames(
    source: str, track: int, retiming: Retiming, near: float | None, threads: int
) -> Iterator[Any]:
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
        for number, packet in enumerate(packets(container, stream)):
            if retiming.needed:
                packet = retiming.applied(packet, number)
            for frame in decoded(packet):
                if stream.type == "video":  # PyAV's frames do not carry their own aspect ratio
                    frame.opaque = stream.codec_context.sample_aspect_ratio
                yield frame


def refuse_absurd(width: int, height: int) -> None:
    """Raise UnfitFileError if frames are too large for memory."""
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise UnfitFileError(
            f"has frames of {width}x{height} pixels; at most {MAX_SIDE} a side "
            f"and {MAX_PIXELS // 1_000_000} million in all can be read"
        )
