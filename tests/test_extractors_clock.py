"""The clock: steps of 1/25 s that look at the screen in their middle."""

from __future__ import annotations

import numpy as np
import pytest

from extractors.clock import SAMPLES_PER_STEP, count_steps, frames_on_screen, step_middle


@pytest.mark.parametrize(
    ("seconds", "steps"), [(0.0, 1), (0.01, 1), (0.04, 1), (0.059, 1), (0.07, 2), (1.0, 25)]
)
def test_a_step_counts_when_its_middle_lies_within(seconds: float, steps: int) -> None:
    assert count_steps(seconds) == steps
    assert SAMPLES_PER_STEP == 640


@pytest.mark.parametrize("fps", [10.0, 23.976, 25.0, 29.97, 50.0, 60.0])
def test_a_step_shows_the_frame_on_screen_in_its_middle_whatever_the_rate(fps: float) -> None:
    times = np.arange(200) / fps
    shown = frames_on_screen(times, range(5, 80))
    for step, frame in zip(range(5, 80), shown, strict=True):
        assert times[frame] <= step_middle(step) < times[frame] + 1 / fps


def test_times_rounded_to_milliseconds_show_the_same_frames() -> None:
    times = np.arange(250) / 25
    steps = range(250)
    for rounded in (np.floor(1000 * times) / 1000, np.ceil(1000 * times) / 1000):
        assert list(frames_on_screen(rounded, steps)) == list(steps)


def test_before_the_first_frame_the_first_is_shown_and_after_the_last_the_last() -> None:
    assert list(frames_on_screen(np.array([0.5, 0.54]), range(10, 16))) == [0, 0, 0, 1, 1, 1]
