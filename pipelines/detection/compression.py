"""The weight of opinions on fine detail, by a picture's bit rate.

At low bit rates a codec removes fine detail first, from real faces too: its absence is then no
evidence of a generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import log

from extractors.media import MediaInfo
from pipelines.detection.opinions import Opinion
from pipelines.detection.timelines import Timeline

CELLS = 112  # a side of the face: as many as the appearance crop has pixels
# Bits of H.264 per bit of a codec at the same quality: De Cock et al. 2016 (A large-scale video
# codec comparison), rounded; 1 for other codecs.
WORTH = {"hevc": 1.7, "vp9": 1.5, "av1": 2.0}


def bits_a_pixel(info: MediaInfo) -> float | None:
    """Return the bits per pixel of a frame, in bits of H.264; None: unknown."""
    if not (info.video_bit_rate and info.fps and info.width and info.height):
        return None
    bits = info.video_bit_rate / (info.fps * info.width * info.height)
    return bits * WORTH.get(info.video_codec or "", 1.0)


def believed(bits: float | None, face_size: float, limits: tuple[float, float]) -> float:
    """Return the weight in [0, 1] of opinions on the fine detail of a face.

    Args:
        bits: per pixel; None: unknown, and the weight is 1.
        face_size: pixels.
        limits: bits per cell (a 112th by a 112th of the face) at which the weight is 0 and 1;
            between them it is linear in the logarithm of the bits.
    """
    if bits is None:
        return 1.0
    spent, (nothing, full) = bits * (face_size / CELLS) ** 2, limits
    share = (log(max(spent, 1e-9)) - log(nothing)) / (log(full) - log(nothing))
    return min(max(share, 0.0), 1.0)


def faded(timeline: Timeline, rows: Sequence[Opinion], share: float) -> Timeline:
    """Return a face's timeline with opinions on fine detail multiplied by `share`, 0 to 1.

    rows: the table rows of the timeline's opinions (T, J), in the order of its columns.
    """
    opinions = timeline.opinions.clone()
    for index, opinion in enumerate(rows):
        if opinion.fades:
            opinions[:, index] *= share
    return replace(timeline, opinions=opinions)
