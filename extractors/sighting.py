"""One face while it is followed: where it was detected, and its place between detections."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from extractors.clip import Array


@dataclass(eq=False)
class Sighting:
    """The detections of one face so far; old ones are forgotten as the crops are made."""

    track: int
    found: dict[int, Array] = field(default_factory=dict)  # step -> (478, 3)
    first: int = 0
    last: int = 0
    early: int = 0  # detections before the first crop is made
    brightness: Array = field(default_factory=lambda: np.zeros(0, np.float32))

    def add(self, step: int, landmarks: Array, brightness: Array, probation: int) -> None:
        """Append the landmarks (478, 3) detected at a step; count those of the probation."""
        if not self.found:
            self.first = step
        self.found[step] = landmarks
        self.brightness = brightness
        self.last = step
        self.early += step <= self.first + probation

    def between(self, start: int, stop: int) -> Array:
        """Return landmarks (stop - start, 478, 3): linear in gaps, constant beyond the ends."""
        detected = np.fromiter(self.found, np.int64)
        steps = np.arange(start, stop)
        right = np.clip(np.searchsorted(detected, steps), 0, len(detected) - 1)
        left = np.clip(np.searchsorted(detected, steps, side="right") - 1, 0, len(detected) - 1)
        values = np.stack(list(self.found.values()))
        span = np.maximum(detected[right] - detected[left], 1)
        weight = ((steps - detected[left]) / span).clip(0, 1).astype(np.float32)[:, None, None]
        blended: Array = values[left] * (1 - weight) + values[right] * weight
        return blended

    def forget(self, before: int) -> None:
        """Drop landmarks that no later crop needs; the last one before the step stays."""
        old = [step for step in self.found if step < before]
        for step in old[:-1]:
            del self.found[step]
