"""Steady face crops from landmarks: squares that follow the head, eyes level."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from extractors.clip import Array, Frames
from extractors.faces import FaceConfig

# Outer corners of the subject's right and left eye: the line that a crop sets level.
EYE_CORNERS = (33, 263)
# Landmarks that move with the skull alone: brows, eyes, nose and temples, no lips, no jaw.
RIGID = (
    *(10, 67, 109, 297, 338, 54, 284, 21, 251, 162, 389, 127, 356, 33, 133, 362, 263),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 6, 197, 195, 5, 4, 1),
    *(98, 327, 50, 280, 205, 425),
)
# Medians of 354 frontal faces: the mesh is 3.04 times as high as RIGID is spread (deviation 0.13),
HULL_PER_SPREAD = 3.04
# and its middle lies 0.21 of its height below the mean of RIGID (deviation 0.01).
CENTRE_DROP = 0.21


def crop_squares(landmarks: Array, config: FaceConfig) -> Array:
    """Return face crop squares (T, 4): centre x, centre y, side in pixels, roll in radians.

    Landmarks (T + 2 * radius, 478, 3), with the motion filter's radius at both ends. The size is
    the spread of the upper face in 3D, so that turning the head does not shrink the crop.
    """
    rigid = landmarks[:, RIGID]
    middle = rigid.mean(axis=1)
    spread = np.sqrt(((rigid - middle[:, None]) ** 2).sum(axis=(1, 2)) / len(RIGID))
    hull = HULL_PER_SPREAD * spread
    eyes = landmarks[:, EYE_CORNERS[1], :2] - landmarks[:, EYE_CORNERS[0], :2]
    roll = np.unwrap(np.arctan2(eyes[:, 1], eyes[:, 0]))
    down = np.stack([-np.sin(roll), np.cos(roll)], axis=1) * hull[:, None] * CENTRE_DROP
    raw = np.column_stack([middle[:, :2] + down, hull * config.margin, roll])
    return smooth(raw, config)


def smooth(values: npt.NDArray[np.float64], config: FaceConfig) -> Array:
    """Return columns (T, K): those of values (T + 2 * radius, K) smoothed by a Gaussian."""
    offsets = np.arange(-config.radius, config.radius + 1)
    kernel = np.exp(-0.5 * (offsets / config.smoothing) ** 2)
    columns = [np.convolve(column, kernel / kernel.sum(), mode="valid") for column in values.T]
    return np.stack(columns, axis=1).astype(np.float32)


def face_coordinates(landmarks: Array, squares: Array) -> Array:
    """Return landmarks (T, K, 3) in face coordinates: the crop spans [-0.5, 0.5], eyes level."""
    x, y, side, roll = (squares[:, i, None] for i in range(4))
    dx, dy = landmarks[..., 0] - x, landmarks[..., 1] - y
    cos, sin = np.cos(roll), np.sin(roll)
    turned = np.stack([cos * dx + sin * dy, cos * dy - sin * dx, landmarks[..., 2]], axis=-1)
    result: Array = (turned / side[..., None]).astype(np.float32)
    return result


def crop_square(frame: Frames, square: Array, size: tuple[int, int]) -> Frames:
    """Return the crop (h, w, 3) of a frame at a square (x, y, width, roll).

    Where the crop is smaller than its source, the source is averaged down first, so that fine
    texture does not alias into flicker.
    """
    x, y, side, roll = (float(v) for v in square)
    height, width = size
    scale = side / width  # source pixels a crop pixel
    # half the rotated square's bounding box, and a pixel of the crop more
    reach = side / 2 * (abs(np.cos(roll)) + abs(np.sin(roll))) + scale + 1
    left, top = int(max(x - reach, 0)), int(max(y - reach, 0))
    right, bottom = int(x + reach) + 2, int(y + reach) + 2
    region = frame[top : max(bottom, top + 1), left : max(right, left + 1)]
    if region.size == 0:
        return np.zeros((height, width, frame.shape[2]), np.uint8)
    region, factor_x, factor_y = _shrunk(region, scale)
    cos, sin = np.cos(roll) * scale, np.sin(roll) * scale
    # crop pixel -> frame pixel -> pixel of the (shrunk) region; pixel centres lie at + 0.5
    cx, cy = (width - 1) / 2, (height - 1) / 2
    ox, oy = x - left - 0.5, y - top - 0.5
    matrix = np.array(
        [
            [cos * factor_x, -sin * factor_x, (ox - cos * cx + sin * cy) * factor_x],
            [sin * factor_y, cos * factor_y, (oy - sin * cx - cos * cy) * factor_y],
        ]
    )
    matrix[0, 2] += (factor_x - 1) / 2
    matrix[1, 2] += (factor_y - 1) / 2
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(
        region, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101
    )
    return crop  # type: ignore[return-value]


def _shrunk(region: Frames, scale: float) -> tuple[Frames, float, float]:
    """Return a region averaged down by a scale, and the exact factors of its width and height.

    Large regions are first reduced by an integer factor: four times as fast, with the same result.
    """
    if scale <= 1.25:
        return region, 1.0, 1.0
    width, height = region.shape[1], region.shape[0]
    target = (max(round(width / scale), 1), max(round(height / scale), 1))
    whole = int(scale / 1.6)
    if whole > 1:
        region = region[: height // whole * whole, : width // whole * whole]
        half = (width // whole, height // whole)
        region = cv2.resize(region, half, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    factor_x = target[0] / region.shape[1] / max(whole, 1)
    factor_y = target[1] / region.shape[0] / max(whole, 1)
    region = cv2.resize(region, target, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return region, factor_x, factor_y
