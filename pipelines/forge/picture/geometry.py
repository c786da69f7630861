"""Face geometry for forging: regions with soft masks, steady outlines, and upright crops."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from extractors.clip import Array, Frames
from extractors.crops import EYE_CORNERS
from extractors.lips import OUTER

# MediaPipe's face oval, clockwise from the forehead; the jaw runs from ear to ear.
LEFT = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377)
RIGHT = (152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
OVAL = LEFT + RIGHT
JAW = OVAL[9:28]
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
EYES = (33, 159, 133, 145, 362, 386, 263, 374)
NOSE = (168, 6, 197, 195, 5, 4, 1, 98, 327, 2, 129, 358)
CHEEKS = (116, 345, 50, 280, 205, 425, 187, 411)
CHIN = (175, 199, 200, 171, 396)
EAR_TO_EAR = (234, 454)
# The regions that forgeries replace: convex hulls of these landmarks.
REGIONS = {
    "face": OVAL,
    "inner": (*BROWS, 116, 345, 187, 411, 214, 434, *CHIN),
    "eyes": (*BROWS, 117, 346, 6),
    "lower": (*JAW, 195, 50, 280),
    "mouth": (*OUTER, 18, 164),
}
CROP_SPANS = {"face": 1.5, "mouth": 0.75}  # sides of aligned crops in face widths


Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, right and bottom excluded


@dataclass(frozen=True, eq=False)
class MaskShape:
    """A region's outline, deformed once for a whole segment."""

    region: str
    scale: float = 1.0  # of the outline about its centre
    feather: float = 0.05  # standard deviation of the soft edge in face widths
    waves: tuple[tuple[float, float], ...] = ()  # (amplitude, phase) of the outline's harmonics


def draw_shape(rng: np.random.Generator, regions: tuple[str, ...], rough: float) -> MaskShape:
    """Return a random outline around one of the regions; rough is between 0 and 1."""
    amplitudes = rng.normal(0, 0.03 + 0.05 * rough, 4) / np.arange(1, 5)
    phases = rng.uniform(0, 2 * np.pi, 4)
    region = str(rng.choice(regions))
    grow = 1.35 if region == "mouth" else 1.0  # the lips' own outline would cut their edge
    return MaskShape(
        region,
        scale=float(grow * rng.uniform(0.85, 1.08)),
        feather=float(np.exp(rng.uniform(np.log(0.012), np.log(0.09)))),
        waves=tuple((float(a), float(p)) for a, p in zip(amplitudes, phases, strict=True)),
    )


def face_width(landmarks: Array) -> float:
    """Return the ear-to-ear distance in pixels of landmarks (478, 3), in 3D: invariant to pose."""
    return float(np.linalg.norm(landmarks[EAR_TO_EAR[1]] - landmarks[EAR_TO_EAR[0]]))


def smooth_in_time(values: Array, sigma: float) -> Array:
    """Return values (T, ...) low-passed along time by a Gaussian, held at the ends."""
    radius = int(np.ceil(3 * sigma))
    if sigma <= 0 or len(values) < 2:
        return values
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).astype(np.float32)
    kernel /= kernel.sum()
    padded = np.concatenate([values[:1].repeat(radius, 0), values, values[-1:].repeat(radius, 0)])
    steady = np.zeros(values.shape, np.float32)
    for offset, weight in enumerate(kernel):
        steady += weight * padded[offset : offset + len(values)]
    return steady


def drift(rng: np.random.Generator, steps: int, period: float = 40.0) -> Array:
    """Return a slow random curve (steps,) of about unit amplitude, without flicker."""
    time = np.arange(steps) / period
    phases = rng.uniform(0, 2 * np.pi, 3)
    curve = sum(
        np.sin(2 * np.pi * k * time + p) / k for k, p in zip((0.5, 1, 2), phases, strict=True)
    )
    return np.asarray(curve, np.float32)


def soft_mask(landmarks: Array, shape: MaskShape, frame_size: tuple[int, ...]) -> tuple[Box, Array]:
    """Return a region's box and its mask (h, w) in [0, 1] from landmarks (478, 3).

    The box is clipped to the frame (height, width); outside the box the mask is 0.
    """
    points = landmarks[list(REGIONS[shape.region]), :2]
    hull = cv2.convexHull(np.ascontiguousarray(points, np.float32))[:, 0].astype(np.float32)
    # Many points, so that the harmonics bend the outline and not only its corners.
    corners = np.concatenate([hull, hull[:1]])
    along = np.linspace(0, len(hull), 64, endpoint=False)
    outline = np.column_stack([np.interp(along, np.arange(len(corners)), c) for c in corners.T])
    centre = outline.mean(axis=0)
    arms = outline - centre
    angle = np.arctan2(arms[:, 1], arms[:, 0])
    radius = np.full(len(angle), shape.scale)
    for k, (amplitude, phase) in enumerate(shape.waves, 1):
        radius += amplitude * np.cos(k * angle + phase)
    outline = centre + arms * radius[:, None]
    sigma = max(shape.feather * face_width(landmarks), 0.6)
    pad = int(np.ceil(2.5 * sigma)) + 1
    box = _box_around(outline, pad, frame_size)
    width, height = box[2] - box[0], box[3] - box[1]
    if width <= 0 or height <= 0:
        return (0, 0, 0, 0), np.zeros((0, 0), np.float32)
    mask = np.zeros((height, width), np.uint8)
    fixed = np.round((outline - np.array(box[:2])) * 16).astype(np.int32)
    cv2.fillPoly(mask, [fixed], (255,), cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), sigma)
    soft[soft < 1 / 128] = 0  # below this no pixel would change
    return box, soft.astype(np.float32)


def fill_hull(points: Array, box: Box) -> Array:
    """Return the mask (h, w) in [0, 1] of the hull of points (K, 2) within a box."""
    mask = np.zeros((box[3] - box[1], box[2] - box[0]), np.uint8)
    fixed = np.round((points - np.array(box[:2])) * 16).astype(np.int32)
    cv2.fillPoly(mask, [cv2.convexHull(fixed)], (255,), cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def _box_around(points: Array, pad: int, frame_size: tuple[int, ...]) -> Box:
    left, top = np.floor(points.min(axis=0)).astype(int) - pad
    right, bottom = np.ceil(points.max(axis=0)).astype(int) + pad
    height, width = frame_size
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height)


def aligned_matrix(landmarks: Array, side: int, region: str = "face") -> Array:
    """Return the matrix (2, 3) from the frame to an upright crop around a face or its mouth."""
    span = CROP_SPANS.get(region, CROP_SPANS["face"])
    centre = landmarks[list(REGIONS[region if region in CROP_SPANS else "face"]), :2].mean(axis=0)
    axis = landmarks[EYE_CORNERS[1], :2] - landmarks[EYE_CORNERS[0], :2]
    axis = axis / max(float(np.linalg.norm(axis)), 1e-6)
    scale = side / max(span * face_width(landmarks), 1e-6)
    turn = scale * np.array([[axis[0], axis[1]], [-axis[1], axis[0]]], np.float32)
    return np.column_stack([turn, (side - 1) / 2 - turn @ centre]).astype(np.float32)


def cut_crop(frame: Frames, matrix: Array, side: int) -> Array:
    """Return the aligned crop (side, side, 3) float32 of a frame, area-averaged if it shrinks."""
    scale = max(float(np.hypot(matrix[0, 0], matrix[0, 1])), 1e-6)
    fine = int(np.clip(np.ceil(1 / scale - 0.25), 1, 8))
    enlarged = fine * matrix
    enlarged[:, 2] += (fine - 1) / 2
    flags = cv2.INTER_LINEAR
    size = (fine * side, fine * side)
    crop = cv2.warpAffine(frame, enlarged, size, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    if fine > 1:
        crop = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    return crop.astype(np.float32)


def uncut_crop(crop: Array, matrix: Array, box: Box) -> Array:
    """Return the box (h, w, 3) of the frame, resampled from an aligned crop."""
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ np.array(box[:2], np.float32)  # box pixel -> crop pixel
    size = (box[2] - box[0], box[3] - box[1])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    edge = cv2.BORDER_REFLECT_101
    return cv2.warpAffine(crop, shifted, size, flags=flags, borderMode=edge).astype(np.float32)
