"""Operators of geometry, occlusion and weather on pictures, by severity.

The form of an operator is described in `pipelines.stress.operators.picture`.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from extractors.clip import Doubles, Frames
from pipelines.stress.operators.picture import AnyPixels, FrameChange, Maker, at, each

Map = npt.NDArray[np.float32]
# A picture's height and width to the column and the row (H, W) that each of its pixels shows.
Places = Callable[[int, int], tuple[Map, Map]]
PlacesMaker = Callable[[int, np.random.Generator], Places]  # of a severity


def _optical_distortion(severity: int, rng: np.random.Generator) -> Places:
    """Distort the picture like a lens, by barrel or pincushion distortion."""
    bend = at(severity, 0.05, 0.1, 0.2, 0.3, 0.45) * rng.choice((-1.0, 1.0))

    def places(height: int, width: int) -> tuple[Map, Map]:
        x, y = _centred(height, width)
        stretch = 1 + bend * (x**2 + y**2) / 2
        return (x * stretch + 1) * (width - 1) / 2, (y * stretch + 1) * (height - 1) / 2

    return places


def _grid_distortion(severity: int, rng: np.random.Generator) -> Places:
    """Displace the inner knots of a 5 × 5 grid; the edges stay."""
    reach = at(severity, 0.05, 0.1, 0.15, 0.2, 0.3) / 5
    knots = rng.uniform(-reach, reach, (2, 6, 6)).astype(np.float32)
    knots[:, [0, -1]] = knots[:, :, [0, -1]] = 0

    def places(height: int, width: int) -> tuple[Map, Map]:
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        dx, dy = (cv2.resize(k, (width, height), interpolation=cv2.INTER_LINEAR) for k in knots)
        return columns + dx * width, rows + dy * height

    return places


def _affine(severity: int, rng: np.random.Generator) -> Places:
    """Rotate, scale and shift the picture."""
    size = at(severity, 0.2, 0.4, 0.6, 0.8, 1.0)
    angle, scale = 18 * size * rng.choice((-1.0, 1.0)), 1 + 0.25 * size * rng.uniform(-1, 1)
    shift = 0.08 * size * rng.uniform(-1, 1, 2)

    def places(height: int, width: int) -> tuple[Map, Map]:
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
        matrix[:, 2] = matrix[:, 2] + shift * (width, height)
        return _before(np.vstack([matrix, [0, 0, 1]]), height, width)

    return places


def _perspective(severity: int, rng: np.random.Generator) -> Places:
    """Change the perspective: the picture's corners move inwards."""
    inwards = at(severity, 0.03, 0.06, 0.1, 0.15, 0.2) * rng.uniform(0.3, 1, (4, 2))
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])

    def places(height: int, width: int) -> tuple[Map, Map]:
        side = np.array([width - 1, height - 1])
        corners = (np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * side).astype(np.float32)
        seen = (corners + signs * inwards * side).astype(np.float32)
        matrix = np.asarray(cv2.getPerspectiveTransform(corners, seen), np.float64)
        return _before(matrix, height, width)

    return places


def _crop_resize(severity: int, rng: np.random.Generator) -> Places:
    """Crop the picture and resize the crop to the full size."""
    share = at(severity, 0.95, 0.9, 0.8, 0.7, 0.6)
    left, top = rng.uniform(0, 1 - share, 2)

    def places(height: int, width: int) -> tuple[Map, Map]:
        columns, rows = (
            _stretched(int(begin * length), int(np.ceil((begin + share) * length)), length)
            for begin, length in ((left, width), (top, height))
        )
        wide, high = np.meshgrid(columns, rows)
        return wide, high

    return places


def _stretched(first: int, last: int, length: int) -> Map:
    """Return the places (length,) that the crop [first, last) shows, resized to a length."""
    places = (np.arange(length) + 0.5) * (last - first) / length - 0.5 + first
    return places.astype(np.float32)


def _before(matrix: Doubles, height: int, width: int) -> tuple[Map, Map]:
    """Return where pixels (H, W) were before a homography (3, 3) moved them."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    points = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(matrix).T
    places = points[..., :2] / points[..., 2:]
    return places[..., 0].astype(np.float32), places[..., 1].astype(np.float32)


def _occlusion(severity: int, rng: np.random.Generator) -> FrameChange:
    """Cover a rectangle near the middle, where faces are, with grey."""
    side = np.sqrt(at(severity, 0.02, 0.05, 0.1, 0.15, 0.25))
    left, top = rng.uniform(0.2, max(0.8 - side, 0.21), 2)

    def change(frame: Frames) -> AnyPixels:
        height, width = frame.shape[:2]
        out = frame.copy()
        rows = slice(int(top * height), int((top + side) * height))
        out[rows, int(left * width) : int((left + side) * width)] = 127
        return out

    return each(change)


def _fog_rain(severity: int, rng: np.random.Generator) -> FrameChange:
    """Add fog of uneven density, and streaks of rain that differ in every frame."""
    density, drops = at(severity, 0.1, 0.2, 0.3, 0.45, 0.6), 40 * severity
    clouds = rng.uniform(0.5, 1, (5, 5)).astype(np.float32)

    def change(frame: Frames) -> AnyPixels:
        height, width = frame.shape[:2]
        veil = density * cv2.resize(clouds, (width, height), interpolation=cv2.INTER_CUBIC)
        out = frame + veil[..., None].clip(0, 1) * (235.0 - frame)
        length = max(height // 20, 2)
        for x, y in zip(rng.integers(0, width, drops), rng.integers(0, height, drops), strict=True):
            cv2.line(out, (int(x), int(y)), (int(x) + length // 4, int(y) + length), (220.0,) * 3)
        return out

    return each(change)


def _centred(height: int, width: int) -> tuple[Map, Map]:
    """Return columns and rows (H, W) from -1 to 1."""
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    return x.astype(np.float32), y.astype(np.float32)


def _moved(places: Places) -> FrameChange:
    """Return a change that resamples frames at the places of a function of their size."""

    def change(frame: Frames) -> AnyPixels:
        columns, rows = places(*frame.shape[:2])
        return cv2.remap(
            frame, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )  # fmt: skip

    return each(change)


def _mover(make: PlacesMaker) -> Maker:
    return lambda severity, rng: _moved(make(severity, rng))


# Operators that move pixels: where each of their pixels was before.
MOVES: dict[str, PlacesMaker] = {
    "optical_distortion": _optical_distortion,
    "grid_distortion": _grid_distortion,
    "affine": _affine,
    "perspective": _perspective,
    "crop_resize": _crop_resize,
}
GEOMETRY: dict[str, Maker] = {
    **{name: _mover(make) for name, make in MOVES.items()},
    "occlusion": _occlusion,
    "fog_rain": _fog_rain,
}
