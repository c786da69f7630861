"""How far the sharpness of a face can be believed at a picture's bit rate.

A codec that has few bits to spend leaves out fine detail first, in genuine faces as well: what it
took away says nothing of a generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import log

from extractors.media import MediaInfo
from pipelines.detection.opinions import Opinion
from pipelines.detection.timelines import Timeline

CELLS = 112  # a side of the face: as many as the appearance crop has pixels
# How many bits of H.264 one of theirs is worth at the same quality: De Cock et al. 2016 (A
# large-scale video codec comparison), rounded; others are counted as they are.
WORTH = {"hevc": 1.7, "vp9": 1.5, "av1": 2.0}


def bits_a_pixel(info: MediaInfo) -> float | None:
    """Return what a pixel of one frame takes of the file, in bits of H.264; None: not known."""
    if not (info.video_bit_rate and info.fps and info.width and info.height):
        return None
    bits = info.video_bit_rate / (info.fps * info.width * info.height)
    return bits * WORTH.get(info.video_codec or "", 1.0)


def believed(bits: float | None, face_size: float, limits: tuple[float, float]) -> float:
    """Return from 0 to 1 how far the sharpness of a face counts.

    Args:
        bits: a pixel; None: not known, then it counts.
        face_size: pixels.
        limits: bits that the file spends on a 112th by a 112th of the face, up to which sharpness
            counts nothing and from which on it counts in full; between them by their logarithm.
    """
    if bits is None:
        return 1.0
    spent, (nothing, full) = bits * (face_size / CELLS) ** 2, limits
    share = (log(max(spent, 1e-9)) - log(nothing)) / (log(full) - log(nothing))
    return min(max(share, 0.0), 1.0)


def faded(timeline: Timeline, rows: Sequence[Opinion], share: float) -> Timeline:
    """Return the timeline of a face with so much of what opinions on fine detail say.

    rows: the rows of the timeline's opinions (T, J).
    """
    opinions = timeline.opinions.clone()
    for index, opinion in enumerate(rows):
        if opinion.fades:
            opinions[:, index] *= share
    return replace(timeline, opinions=opinions)
