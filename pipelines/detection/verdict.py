"""The verdict on one file: its scores, its segments, and the facts that go with them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from extractors.media import STEP_RATE, MediaInfo
from pipelines.detection.result import (
    SCHEMA,
    Crowd,
    Curve,
    Decision,
    Face,
    Failure,
    ModelInfo,
    NotJudged,
    PlainMedia,
    PlainSegment,
    Result,
)
from pipelines.progress import Elapsed
from temporal.segment import Segment


@dataclass(frozen=True, eq=False, repr=False)
class Verdict:
    """The verdict on one file. It holds values alone, so it can be pickled and kept.

    Scores are calibrated probabilities of a manipulation, from 0 to 1; None where there was too
    little to judge, and `not_judged` says why.

    Attributes:
        path: the file as it was named.
        sha256: digest of the file's bytes, 64 hexadecimal digits.
        verdict: `real`, `fake` or `inconclusive`.
        score: that picture or sound is manipulated.
        visual_score: that the picture is.
        audio_score: that the sound by itself is.
        sync_score: that lips and sound do not belong together; no part of `score`.
        not_judged: why `visual`, `audio` and `sync` have no score, a few words each; None: they
            have one.
        uncertain: the two scores between which the verdict is inconclusive.
        segments: that look manipulated, best first.
        candidates: the best hundred segments of all modalities in one ranking, reported or not, for
            metrics that rank them (see `best_candidates`).
        timeline: (T, 3) float32, the visual, audio and sync scores every 40 ms, 0 to 1; NaN where a
            modality was not judged.
        streams: each stream, and whether it was present.
        faces: of each face that was judged its `track` number, `start` and `end` in seconds, and
            `score`.
        crowd: how many faces were `seen` at once and how many of them `judged`, at the `time` at
            which most were left out.
        media: length, size, rates and codecs of the file.
        warnings: sentences on what could not be judged, or is less reliable.
        model: `name`, `version` and `sha256` of the weights.
        elapsed: seconds of `decode`, `extract`, `judge`, and their `total`.
    """

    path: str
    sha256: str
    verdict: Decision
    score: float | None
    visual_score: float | None
    audio_score: float | None
    sync_score: float | None
    not_judged: NotJudged
    uncertain: tuple[float, float]
    segments: list[Segment]
    candidates: list[Segment]
    timeline: npt.NDArray[np.float32]
    streams: dict[str, bool]
    faces: list[Face]
    crowd: Crowd
    media: MediaInfo
    warnings: list[str]
    model: ModelInfo
    elapsed: Elapsed

    def __repr__(self) -> str:
        """Return the verdict in one line, without the file's folders."""
        score = "no score" if self.score is None else f"score {self.score:.2f}"
        count = f"{len(self.segments)} segment{'' if len(self.segments) == 1 else 's'}"
        return f"<Verdict {self.verdict}, {score}, {Path(self.path).name!r}, {count}>"

    def to_dict(self) -> Result:
        """Return the result as plain values, ready for JSON: schema 1."""
        media = asdict(self.media)
        media.pop("path")
        visual, audio, sync = map(_curve, self.timeline.T)
        return {
            "schema": SCHEMA, "path": self.path, "sha256": self.sha256, "status": "ok",
            "error": None, "verdict": self.verdict, "score": self.score,
            "visual_score": self.visual_score, "audio_score": self.audio_score,
            "sync_score": self.sync_score, "not_judged": self.not_judged,
            "uncertain": list(self.uncertain),
            "segments": [_plain(s) for s in self.segments],
            "candidates": [_plain(s, digits=4) for s in self.candidates],  # there are many
            "timeline": {"rate": float(STEP_RATE), "visual": visual, "audio": audio, "sync": sync},
            "streams": self.streams, "faces": self.faces, "crowd": self.crowd,
            "media": cast("PlainMedia", media), "warnings": self.warnings,
            "model": self.model, "elapsed": self.elapsed,
        }  # fmt: skip


def _curve(scores: npt.NDArray[np.float32]) -> Curve:
    return [None if np.isnan(score) else round(float(score), 4) for score in scores]


def _plain(segment: Segment, digits: int | None = None) -> PlainSegment:
    """Return a segment as plain values, rounded to `digits` after the point."""
    start, end, score = (
        value if digits is None else round(value, digits)
        for value in (segment.start, segment.end, segment.score)
    )
    return {"start": start, "end": end, "score": score, "modality": segment.modality}


def error_dict(path: str | PathLike[str], error: Exception) -> Failure:
    """Return the result of a file that cannot be judged."""
    return {
        "schema": SCHEMA, "path": str(path), "status": "error",
        "error": {"type": type(error).__name__, "message": str(error)},
    }  # fmt: skip
