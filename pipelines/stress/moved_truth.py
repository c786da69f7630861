"""What is known of a picture, moved as an operator moves its pixels: points, masks and flow.

Operators that move no pixel leave all of it as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import cv2
import numpy as np

from extractors.clip import Doubles, Floats
from pipelines.stress.operators.geometry import MOVES, Map

NEAR = 0.1  # pixels: what is further from its point was found nowhere
ROUNDS = 30  # in which a point's new place is approached


@dataclass(frozen=True, eq=False)
class Moved:
    """Where the pixels of one size of picture were before an operator moved them."""

    columns: Map  # (H, W)
    rows: Map  # (H, W)

    def points(self, points: Floats) -> Doubles:
        """Return the new places (N, 2) of points (N, 2), column and row, such as landmarks.

        NaN for a point that is no longer in the picture.
        """
        inside = np.asarray(points, np.float64)
        found = inside.copy()
        for _ in range(ROUNDS):  # the places vary slowly, so the error shrinks each time
            found = found + inside - self._before(found)
        off = np.linalg.norm(self._before(found) - inside, axis=1) > NEAR
        height, width = self.rows.shape
        out = (found < -0.5).any(axis=1) | (found > (width - 0.5, height - 0.5)).any(axis=1)
        found[off | out] = np.nan
        return found

    def mask(self, mask: Floats) -> Floats:
        """Return a mask (H, W) or map, 0 where the picture shows what lay outside of it."""
        moved = cv2.remap(
            np.asarray(mask, np.float32), self.columns, self.rows, cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
        )  # fmt: skip
        return np.asarray(moved, np.float32)

    def flow(self, flow: Floats) -> Floats:
        """Return flow (H, W, 2), pixels to the right and down, both moved and turned.

        A pixel's way is as long as the way of what it shows, stretched and turned as the operator
        does there: by the inverse of the derivative of the places.
        """
        there = np.stack([self.mask(flow[..., axis]) for axis in (0, 1)], axis=-1)
        slopes = [np.gradient(places, axis=(1, 0)) for places in (self.columns, self.rows)]
        derivative = np.stack([np.stack(s, axis=-1) for s in slopes], axis=-2)  # (H, W, 2, 2)
        turned: Floats = np.linalg.solve(derivative, there[..., None])[..., 0]
        return turned

    def _before(self, points: Doubles) -> Doubles:
        """Return the places (N, 2) that points (N, 2) of the moved picture show.

        Outside of it, those of its edge, moved on.
        """
        height, width = self.rows.shape
        near = points.clip(0, (width - 1, height - 1))
        at = near.astype(np.float32)[None]
        shown = [
            cv2.remap(places, at[..., 0], at[..., 1], cv2.INTER_LINEAR)[0]
            for places in (self.columns, self.rows)
        ]
        return np.stack(shown, axis=1) + (points - near)


def moved_truth(operator: str, severity: int, size: tuple[int, int], seed: str = "") -> Moved:
    """Return how `perturbed` of the same operator, severity and seed moves what is known.

    Args:
        operator: one of the picture's alone, not a combination.
        severity: 0 (nothing moves) to 5.
        size: height and width of the picture.
        seed: text such as the file's name.
    """
    height, width = size
    if operator not in MOVES or severity == 0:
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        return Moved(columns.astype(np.float32), rows.astype(np.float32))
    rng = np.random.default_rng(crc32(f"{seed}:{operator}".encode()))
    columns, rows = MOVES[operator](severity, rng)(height, width)
    return Moved(columns.astype(np.float32), rows.astype(np.float32))
