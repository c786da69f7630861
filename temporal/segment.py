"""A manipulated stretch of one modality, in seconds."""

from __future__ import annotations

from dataclasses import dataclass

MODALITIES = ("visual", "audio", "sync")


@dataclass(frozen=True)
class Segment:
    """A stretch of one modality that was manipulated."""

    start: float  # seconds
    end: float  # seconds
    score: float  # in [0, 1]
    modality: str  # one of MODALITIES

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise ValueError(f"expected a modality of {MODALITIES}, got {self.modality!r}")
        if not 0 <= self.start < self.end:
            raise ValueError(f"expected 0 <= start < end, got {self.start} to {self.end} s")
