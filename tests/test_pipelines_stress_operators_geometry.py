"""Operators that move pixels: where a dot comes to lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import pytest

from pipelines.stress.operators.geometry import GEOMETRY


@pytest.mark.parametrize(("bend", "dot"), [(1.0, 498), (-1.0, 462)])
def test_a_lens_moves_a_dot_where_its_formula_says(bend: float, dot: int) -> None:
    # At (0.5, 0.5) of [-1, 1]² a lens of ±0.45 shows what lies at 0.5 · (1 ± 0.45 / 4), which of
    # 641 pixels is 320 + 178 or 320 + 142, exactly; the place itself is 320 + 160.
    frame = np.zeros((641, 641, 3), np.uint8)
    frame[dot, dot] = 255
    lens = GEOMETRY["optical_distortion"](5, cast(np.random.Generator, Drawn(bend)))
    seen = lens(frame[None])[0, ..., 0]
    assert np.unravel_index(seen.argmax(), seen.shape) == (480, 480)
    assert seen[480, 480] >= 250


@dataclass
class Drawn:
    """A generator that draws a given choice."""

    drawn: float

    def choice(self, _: tuple[float, ...]) -> float:
        return self.drawn
