"""Schema 1: the fields of a result and their types, written here and nowhere else.

`Verdict.to_dict` returns a `Result` for JSON, `avdetect.server` describes both rows in its OpenAPI,
and `pipelines.results.row_schema` makes the columns of a scan's Parquet files of them.
"""

from __future__ import annotations

from typing import Final, Literal

from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from extractors.clip import Credentials
from pipelines.progress import Elapsed
from temporal.segment import Modality

SCHEMA: Final = 1

Decision = Literal["real", "fake", "inconclusive"]
Curve = list[float | None]  # a score every 40 ms; null: not judged


class PlainSegment(TypedDict):
    """A manipulated segment, in seconds."""

    start: float
    end: float
    score: float
    modality: Modality


class Face(TypedDict):
    """One face from its first to its last second."""

    track: int
    start: float
    end: float
    score: float


class Crowd(TypedDict):
    """The faces in the picture at the moment at which most of them were left out.

    Where none was, the moment is the one with most faces.
    """

    seen: int  # faces, as far as they were counted: once a second beyond `faces.max_faces`
    judged: int  # of them; `faces.max_faces` decides how many are followed
    time: float  # seconds


class NotJudged(TypedDict):
    """Why a modality has no score; null: it has one."""

    visual: str | None
    audio: str | None
    sync: str | None


class PlainTimeline(TypedDict):
    """Scores along the file."""

    rate: float  # a second
    visual: Curve
    audio: Curve
    sync: Curve


class PlainMedia(TypedDict):
    """The properties of the file; null: the track is missing or cannot be decoded."""

    duration: float  # seconds
    width: int | None  # pixels
    height: int | None
    fps: float | None
    video_codec: str | None
    audio_codec: str | None
    sample_rate: int | None
    video_bit_rate: int | None  # a second
    video_span: list[float] | None  # seconds: start and end of the picture
    audio_tracks: list[str]  # names of the sound tracks, players' default first
    audio_spans: list[list[float]]  # seconds: start and end of each
    credentials: Credentials | None  # what its content credentials say; null: it has none


class ModelInfo(TypedDict):
    """The weights that gave the result."""

    name: str
    version: str
    sha256: str


class Result(TypedDict):
    """The result of a clip: schema 1. Scores are probabilities of fake; null: not judged."""

    schema: Literal[1]
    path: str
    sha256: str  # of the file's bytes
    status: Literal["ok"]
    error: None
    verdict: Decision
    score: float | None
    visual_score: float | None
    audio_score: float | None
    sync_score: float | None
    not_judged: NotJudged
    uncertain: list[float]  # two thresholds, between which a score is inconclusive
    segments: list[PlainSegment]  # best first
    candidates: list[PlainSegment]  # the best hundred, reported or not
    timeline: PlainTimeline
    streams: dict[str, bool]  # whether each stream was present
    faces: list[Face]
    crowd: Crowd
    media: PlainMedia
    warnings: list[str]
    model: ModelInfo
    elapsed: Elapsed


class Cause(TypedDict):
    """Why a clip could not be judged."""

    type: str
    message: str


class Failure(TypedDict):
    """The result of a clip that cannot be judged: schema 1."""

    schema: Literal[1]
    path: str
    status: Literal["error"]
    error: Cause


def modality_score(result: Result, modality: Modality) -> float | None:
    """Return a modality's score in a result."""
    scores = {
        "visual": result["visual_score"], "audio": result["audio_score"],
        "sync": result["sync_score"],
    }  # fmt: skip
    return scores[modality]
