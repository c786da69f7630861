"""Measurements of a face: planted blinks, noise and motion."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines.evidence.face_measures import blink_rate, flow_residual, noise_gap


def test_blinks_are_counted_and_long_shut_eyes_are_none() -> None:
    eyes = np.full(750, 0.3, np.float32)  # half a minute
    for start in (100, 200, 300):
        eyes[start : start + 4] = 0.05
    eyes[400:430] = 0.05
    eyes[500] = 0.05  # one step alone is a slip of the face mesh
    assert blink_rate(eyes) == pytest.approx(6.0)
    assert blink_rate(eyes[:50]) is None


def test_noise_on_the_face_alone_is_octaves_above_its_surroundings() -> None:
    face = torch.zeros(2, 1, 56, 56)
    face[..., 14:42, 14:42] = 1
    crops = torch.full((2, 3, 112, 112), 100.0) + torch.randn(2, 1, 112, 112) * 2
    inside = torch.nn.functional.interpolate(face, scale_factor=2)
    loud = crops + inside * torch.randn(2, 1, 112, 112) * 8
    assert noise_gap(crops.to(torch.uint8), face).abs().max() < 0.2
    assert noise_gap(loud.to(torch.uint8), face).min() > 1.5


def test_a_face_that_moves_as_one_has_no_flow_residual() -> None:
    face = torch.ones(3, 1, 56, 56)
    steady = torch.full((3, 2, 56, 56), 0.4)
    assert flow_residual(steady, face).max() < 1e-3
    assert flow_residual(steady + 0.1 * torch.randn_like(steady), face).min() > 1
