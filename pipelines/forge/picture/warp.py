"""Thin-plate warps of one face onto another, as exact as possible without folding."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from extractors.clip import Array, Floats, Frames
from extractors.crops import RIGID
from extractors.lips import LIPS, OUTER
from pipelines.forge.picture.geometry import BROWS, CHEEKS, CHIN, EYES, NOSE, OVAL, Box

# Enough points to hold a face's shape in a thin-plate warp.
WARP_POINTS = tuple(dict.fromkeys(OVAL[::2] + BROWS[::2] + EYES + NOSE + CHEEKS + OUTER[::2]))
# The skull's points, and those that speech moves: the jaw moves with the lips.
STILL_POINTS = OVAL[-9:] + OVAL[:10] + NOSE + CHEEKS[:4]
SPEAKING_POINTS = tuple(dict.fromkeys(OUTER[::2] + LIPS[20::2] + CHIN))
STIFFNESSES = (1e-4, 3e-3, 3e-2, 0.3, 3.0)  # from through every point to nearly affine
LEAST_AREA = 0.12  # relative area of a warped cell; below, the skin looks folded or smeared


def similarity(source: Floats, target: Floats) -> tuple[Array, Array]:
    """Return rotation with scale (2, 2) and shift (2,), the least-squares fit of source to target.

    Both are points (K, 2).
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = source - source_mean, target - target_mean
    norm = max(float((a * a).sum()), 1e-6)
    cos = float((a * b).sum()) / norm
    sin = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / norm
    matrix = np.array([[cos, -sin], [sin, cos]], np.float32)
    return matrix, (target_mean - matrix @ source_mean).astype(np.float32)


def rigid_similarity(source: Floats, target: Floats) -> tuple[Array, Array]:
    """Return the similarity between two faces' upper halves, landmarks (478, 3) each."""
    rigid = list(RIGID)
    return similarity(source[rigid, :2], target[rigid, :2])


class Plate:
    """A thin-plate spline from a target back to a source (Bookstein 1989).

    Target points (K, 2) map onto those of the source (K, 2); a stiff plate only approximates them,
    but does not fold where a turned head hides half the face.
    """

    def __init__(self, target: Floats, source: Floats, stiffness: float = STIFFNESSES[0]) -> None:
        self.centre = target.mean(axis=0)
        self.scale = float(target.std()) + 1e-6
        self.knots = ((target - self.centre) / self.scale).astype(np.float64)
        count = len(self.knots)
        system = np.zeros((count + 3, count + 3))
        system[:count, :count] = _kernel(self.knots, self.knots) + stiffness * np.eye(count)
        system[:count, count] = system[count, :count] = 1
        system[:count, count + 1 :] = self.knots
        system[count + 1 :, :count] = self.knots.T
        moves = np.concatenate([source - target, np.zeros((3, 2))])
        self.weights = np.linalg.solve(system, moves)

    def __call__(self, points: Floats) -> Floats:
        """Return the positions in the source of points (M, 2) of the target."""
        nodes = (points - self.centre) / self.scale
        count = len(self.knots)
        bent = _kernel(nodes, self.knots) @ self.weights[:count]
        return points + bent + self.weights[count] + nodes @ self.weights[count + 1 :]

    def maps(self, box: Box, cell: int = 8) -> tuple[Array, Array]:
        """Return the maps (h, w) of x and y for a box of the target.

        Evaluated on a grid of `cell` pixels and interpolated, as a face's warp is smooth.
        """
        across, down = _hat(box[2] - box[0], cell), _hat(box[3] - box[1], cell)
        grid_x = box[0] + np.linspace(0, max(box[2] - box[0] - 1, 0), across.shape[1])
        grid_y = box[1] + np.linspace(0, max(box[3] - box[1] - 1, 0), down.shape[1])
        grid = np.stack(np.meshgrid(grid_x, grid_y), axis=-1)  # (rows, columns, 2)
        coarse = self(grid.reshape(-1, 2)).reshape(grid.shape).astype(np.float32)
        return down @ coarse[..., 0] @ across.T, down @ coarse[..., 1] @ across.T

    def least_area(self) -> float:
        """Return the smallest area of a warped cell around a point, relative to the median."""
        step = 0.05 * self.scale
        knots = self.knots * self.scale + self.centre
        right, down = np.array([step, 0]), np.array([0, step])
        edges_x = self(knots + right) - self(knots - right)
        edges_y = self(knots + down) - self(knots - down)
        area = edges_x[:, 0] * edges_y[:, 1] - edges_x[:, 1] * edges_y[:, 0]
        return float(area.min() / max(float(np.median(area)), 1e-9))


def enough_stiffness(targets: Sequence[Floats], sources: Sequence[Floats]) -> float:
    """Return the least stiffness at which no warp between pairs of points (K, 2) folds.

    One for a whole segment: switching within it would make the face jump.
    """
    level = 0
    for target, source in zip(targets, sources, strict=True):
        while level + 1 < len(STIFFNESSES):
            if Plate(target, source, STIFFNESSES[level]).least_area() > LEAST_AREA:
                break
            level += 1
    return STIFFNESSES[level]


def _kernel(a: Floats, b: Floats) -> Floats:
    """Return the thin plate's kernel r² log r² between points (M, 2) and (K, 2)."""
    square = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
    return np.asarray(square * np.log(square + 1e-12))


def _hat(size: int, cell: int) -> Array:
    """Return weights (size, nodes) that interpolate linearly from evenly spaced nodes."""
    nodes = max(int(np.ceil(size / cell)), 1) + 1
    position = np.linspace(0, nodes - 1, size) if size > 1 else np.zeros(size)
    distance = np.abs(position[:, None] - np.arange(nodes)[None])
    return np.maximum(1 - distance, 0).astype(np.float32)


def warp_box(frame: Frames, target: Floats, source: Floats, box: Box, stiffness: float) -> Array:
    """Return a box (h, w, 3) float32 of a frame warped by source points (K, 2) onto target."""
    map_x, map_y = Plate(target, source, stiffness).maps(box)
    edge = cv2.BORDER_REFLECT_101
    return cv2.remap(frame, map_x, map_y, cv2.INTER_LINEAR, borderMode=edge).astype(np.float32)
