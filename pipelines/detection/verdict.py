"""What avdetect says of one file: the scores, the segments, and what they rest on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from extractors.media import MediaInfo
from temporal.segment import MODALITIES, Segment

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Verdict:
    """What avdetect says of one file. Scores are probabilities; None: could not be judged."""

    path: str
    sha256: str
    verdict: str  # real, fake or inconclusive
    score: float | None  # that any part is manipulated
    visual_score: float | None
    audio_score: float | None
    sync_score: float | None
    segments: list[Segment]  # best first
    candidates: list[Segment]  # reported or not, for metrics that rank them: see `best_candidates`
    timeline: npt.NDArray[np.float32]  # (T, 3) visual | audio | sync, 25 a second; NaN: not judged
    streams: dict[str, bool]  # which were there to be judged
    faces: list[dict[str, Any]]  # track, start, end (seconds) and score of each face
    media: MediaInfo
    warnings: list[str]
    model: dict[str, str]
    elapsed: dict[str, float]  # seconds: decode, extract, judge, total

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values, ready for JSON: schema 1."""
        media = asdict(self.media)
        media.pop("path")
        curves = {
            name: [None if np.isnan(v) else round(float(v), 4) for v in self.timeline[:, i]]
            for i, name in enumerate(MODALITIES)
        }
        return {
            "schema": SCHEMA, "path": self.path, "sha256": self.sha256, "status": "ok",
            "error": None, "verdict": self.verdict, "score": self.score,
            "visual_score": self.visual_score, "audio_score": self.audio_score,
            "sync_score": self.sync_score, "segments": [asdict(s) for s in self.segments],
            "candidates": [_rounded(s) for s in self.candidates],
            "timeline": {"rate": 25.0, **curves}, "streams": self.streams, "faces": self.faces,
            "media": media, "warnings": self.warnings, "model": self.model,
            "elapsed": self.elapsed,
        }  # fmt: skip


def _rounded(segment: Segment) -> dict[str, Any]:
    """Return a candidate as plain values, short: there are many."""
    return {name: round(v, 4) if isinstance(v, float) else v for name, v in asdict(segment).items()}


def error_dict(path: str | PathLike[str], error: Exception) -> dict[str, Any]:
    """Return the result of a file that cannot be judged, as plain values: schema 1."""
    return {
        "schema": SCHEMA, "path": str(path), "status": "error",
        "error": {"type": type(error).__name__, "message": str(error)},
    }  # fmt: skip
