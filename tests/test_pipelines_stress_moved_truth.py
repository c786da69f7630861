"""Landmarks, masks and flow go with the pixels that operators move."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from extractors.media import Clip
from pipelines.stress.moved_truth import moved_truth
from pipelines.stress.operators.geometry import MOVES
from pipelines.stress.perturb import perturbed

SIZE = (180, 240)
POINTS = np.array([[60.0, 50.0], [120.0, 90.0], [175.0, 130.0]])


def dot(column: float, row: float) -> np.ndarray[Any, Any]:
    """A picture with a soft dot."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    level = 255 * np.exp(-((columns - column) ** 2 + (rows - row) ** 2) / 18)
    return np.repeat(level.astype(np.uint8)[..., None], 3, axis=2)


def seen(operator: str, severity: int, frame: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The frame as the operator changes it."""
    (clip,) = perturbed([Clip(0, frame[None], None)], operator, severity, "a")
    assert clip.frames is not None
    return clip.frames[0]


def centre(picture: np.ndarray[Any, Any]) -> tuple[float, float]:
    """The column and row of the middle of what is bright."""
    weight = picture.astype(np.float64)
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    return (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()


@pytest.mark.parametrize("operator", MOVES)
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_a_landmark_lies_on_its_dot_wherever_that_was_moved(operator: str, severity: int) -> None:
    moved = moved_truth(operator, severity, SIZE, "a")
    for point, place in zip(POINTS, moved.points(POINTS), strict=True):
        if np.isnan(place).any():
            continue
        picture = seen(operator, severity, dot(*point))[..., 0]
        edges = np.concatenate([picture[[0, -1]].ravel(), picture[:, [0, -1]].ravel()])
        if edges.max() > 2:  # part of the dot, or its reflection, is cut off
            continue
        assert centre(picture) == pytest.approx(tuple(place), abs=0.8)


@pytest.mark.parametrize("operator", MOVES)
def test_a_mask_covers_what_it_covered_before(operator: str) -> None:
    frame = np.zeros((*SIZE, 3), np.uint8)
    frame[60:120, 80:150] = 255
    mask = (frame[..., 0] > 0).astype(np.float32)
    covered = moved_truth(operator, 3, SIZE, "a").mask(mask) > 0.5
    shown = seen(operator, 3, frame)[..., 0] > 127
    assert (covered & shown).sum() / (covered | shown).sum() > 0.97


@pytest.mark.parametrize("operator", MOVES)
def test_flow_leads_from_a_moved_point_to_the_moved_end_of_its_way(operator: str) -> None:
    moved = moved_truth(operator, 4, SIZE, "a")
    way = np.array([3.0, -2.0])
    flow = moved.flow(np.broadcast_to(way, (*SIZE, 2)).astype(np.float32))
    starts, ends = moved.points(POINTS), moved.points(POINTS + way)
    for start, end in zip(starts, ends, strict=True):
        if np.isnan(start).any() or np.isnan(end).any():
            continue
        column, row = start.round().astype(int)
        assert flow[row, column] == pytest.approx(end - start, abs=0.35)


def test_of_a_lens_the_moved_point_is_known_by_hand() -> None:
    # at (0.5, 0.5) of [-1, 1]² a lens of ±0.05 shows what lies at 0.5 · (1 ± 0.05 / 4)
    moved = moved_truth("optical_distortion", 1, (641, 641), "a")
    places = [320 + 160 * (1 + sign * 0.0125) for sign in (1, -1)]
    found = moved.points(np.array([[places[0]] * 2, [places[1]] * 2]))
    assert np.abs(found - 480).max(axis=1).min() < 0.05  # one of the two, as the sign was drawn


def test_what_moves_no_pixel_moves_nothing_known_and_what_leaves_the_picture_is_gone() -> None:
    for operator, severity in (("gaussian_blur", 5), ("affine", 0)):
        still = moved_truth(operator, severity, SIZE)
        np.testing.assert_allclose(still.points(POINTS), POINTS)
        mask = np.random.default_rng(0).random(SIZE).astype(np.float32)
        np.testing.assert_allclose(still.mask(mask), mask, atol=1e-6)
        flow = np.stack([mask, -mask], axis=2)
        np.testing.assert_allclose(still.flow(flow), flow, atol=1e-5)
    corners = np.array([[0.0, 0.0], [239.0, 0.0], [0.0, 179.0], [239.0, 179.0]])
    gone = np.isnan(moved_truth("crop_resize", 5, SIZE).points(corners)).all(axis=1)
    assert gone.sum() >= 3
