"""Images and animated images, recognised by their bytes so that they can be refused by name."""

from __future__ import annotations

import mmap
import os

SIGNATURES = (
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
IMAGE = "is an image, not a video"
ANIMATED = "is an animated {} image, which is not read; convert it to a video first, as `{}` does"
MOTION_PHOTO = (
    "is a motion photo, an image that carries a short video, which is not read; save that video "
    "as a file of its own first, as phones' galleries do and `exiftool -b -{} photo > video.mp4`"
)
ANIMATION = 2  # flag of WebP's VP8X
MOST_SEARCHED = 256 * 2**20  # bytes of an image


def image_kind(descriptor: int) -> str | None:
    """Return why an image of any kind is not read; None: the file is no image.

    A sequence of JPEG images is a video (MJPEG), as cameras send it.
    """
    head = os.pread(descriptor, 32, 0)
    if not any(head[at : at + len(sign)] == sign for at, sign in SIGNATURES):
        return None
    size = min(os.fstat(descriptor).st_size, MOST_SEARCHED)
    with mmap.mmap(descriptor, size, prot=mmap.PROT_READ) as content:
        if head.startswith(b"\xff\xd8"):
            return _jpeg_kind(content)
        if head[8:16] == b"WEBPVP8X" and head[20] & ANIMATION:
            return ANIMATED.format("WebP", "magick clip.webp clip.gif")
        if head.startswith(b"\x89PNG") and content.find(b"acTL", 8, _place(content, b"IDAT")) > 0:
            return ANIMATED.format("PNG", "ffmpeg -i clip.png clip.mp4")
        if head[4:8] == b"ftyp" and content.find(b"mpvd") > 0:
            return MOTION_PHOTO.format("MotionPhotoVideo")
    return IMAGE


def _place(content: mmap.mmap, word: bytes) -> int:
    place = content.find(word)
    return place if place >= 0 else len(content)


def _jpeg_kind(content: mmap.mmap) -> str | None:
    end, several = _jpeg_end(content)
    if content.find(b"ftyp", end) >= 4:
        return MOTION_PHOTO.format("EmbeddedVideoFile")
    follows = content[end : end + 3] == b"\xff\xd8\xff"
    return None if follows and not several else IMAGE


def _jpeg_end(content: mmap.mmap) -> tuple[int, bool]:
    """Return the offset at which the first JPEG image ends, and whether it is a multi-picture file.

    The others are then previews and gain maps of one photograph (CIPA DC-007).
    """
    at, several = 2, False
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        several |= marker == 0xE2 and content[at + 4 : at + 8] == b"MPF\0"
        at += 2 + length
        if marker == 0xDA:  # entropy-coded data follow, in which 0xFFD9 occurs only at the end
            break
    end = content.find(b"\xff\xd9", at)
    return (end + 2 if end >= 0 else len(content)), several
