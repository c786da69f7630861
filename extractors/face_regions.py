"""The regions of a face crop, by the face mesh: what a parser would label, without one."""

from __future__ import annotations

import cv2
import numpy as np

from extractors.clip import Array, Frames
from extractors.lips import OUTER

REGIONS = ("background", "skin", "boundary", "brows", "eyes", "nose", "mouth")
CHOSEN_FROM = tuple(range(2, len(REGIONS)))  # facial features: neither skin nor background
# Landmarks of MediaPipe's mesh. The oval's lower part, from temple to temple, is the jaw.
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
JAW = OVAL[7:30]
JAW_WIDTH = 0.06  # of the crop's side
PARTS = {
    "brows": ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
              (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)),
    "eyes": ((33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
             (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)),
    "nose": ((168, 193, 122, 196, 3, 198, 129, 98, 97, 2, 326, 327, 358, 420, 248, 419, 351, 417),),
    "mouth": (OUTER,),
}  # fmt: skip


def face_regions(landmarks: Array, side: int) -> Frames:
    """Return the label map (side, side) uint8 of a crop, with the index of `REGIONS` of each pixel.

    landmarks: (478, 3) in pixels of the crop.
    """
    points = landmarks[:, :2].round().astype(np.int32)
    labels = np.zeros((side, side), np.uint8)
    cv2.fillPoly(labels, [points[list(OVAL)]], (REGIONS.index("skin"),))
    width = max(round(JAW_WIDTH * side), 1)
    jaw = points[list(JAW)]
    cv2.polylines(labels, [jaw], False, (REGIONS.index("boundary"),), width)
    for name, hulls in PARTS.items():
        for places in hulls:
            hull = cv2.convexHull(points[list(places)])
            cv2.fillConvexPoly(labels, hull, (REGIONS.index(name),))
    return labels
