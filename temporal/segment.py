"""A manipulated stretch of one modality, in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Modality = Literal["visual", "audio", "sync"]
MODALITIES: tuple[Modality, Modality, Modality] = ("visual", "audio", "sync")


@dataclass(frozen=True)
class Segment:
    """A stretch of one modality that was manipulated.

    Attributes:
        start: seconds from the file's beginning, 0 or more.
        end: seconds, after the start.
        score: probability that it was manipulated, 0 to 1.
        modality: `visual`, `audio` or `sync` (lips and sound that do not belong together).
    """

    start: float
    end: float
    score: float
    modality: Modality

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise ValueError(f"expected a modality of {MODALITIES}, got {self.modality!r}")
        if not 0 <= self.start < self.end:
            raise ValueError(f"expected 0 <= start < end, got {self.start} to {self.end} s")
