"""What the answers of `avdetect serve` look like, for its OpenAPI description."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

Modality = Literal["visual", "audio", "sync"]
Curve = list[float | None]  # a score every 40 ms; null: not judged
Answers = dict[int | str, dict[str, Any]]  # status -> its description and model


class Segment(TypedDict):
    """A manipulated stretch in seconds."""

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


class Timeline(TypedDict):
    """Scores along the file."""

    rate: float  # a second
    visual: Curve
    audio: Curve
    sync: Curve


class Media(TypedDict):
    """What the file holds."""

    duration: float
    width: int | None
    height: int | None
    fps: float | None
    video_codec: str | None
    audio_codec: str | None
    sample_rate: int | None
    video_bit_rate: int | None  # a second
    video_span: list[float] | None  # seconds: start and end
    audio_tracks: list[str]
    audio_spans: list[list[float]]  # of each track


class Model(TypedDict):
    """The weights that judged."""

    name: str
    version: str
    sha256: str


class Elapsed(TypedDict):
    """Seconds that judging took."""

    decode: float
    extract: float
    judge: float
    total: float


class Result(TypedDict):
    """What avdetect says of a clip: schema 1. Scores are probabilities; null: not judged."""

    schema: Literal[1]
    path: str
    sha256: str
    status: Literal["ok"]
    error: None
    verdict: Literal["real", "fake", "inconclusive"]
    score: float | None
    visual_score: float | None
    audio_score: float | None
    sync_score: float | None
    segments: list[Segment]
    candidates: list[Segment]  # the best hundred, reported or not
    timeline: Timeline
    streams: dict[str, bool]
    faces: list[Face]
    media: Media
    warnings: list[str]
    model: Model
    elapsed: Elapsed


class Cause(TypedDict):
    """Why a clip could not be judged."""

    type: str
    message: str


class Failure(TypedDict):
    """What avdetect says of a clip that it cannot judge: schema 1."""

    schema: Literal[1]
    path: str
    status: Literal["error"]
    error: Cause


class Refusal(TypedDict):
    """Why a request was not answered, in a sentence."""

    detail: str


class Fault(TypedDict):
    """One thing that is wrong with a request's parameters."""

    loc: list[str | int]
    msg: str
    type: str


class Faults(TypedDict):
    """What is wrong with a request's parameters."""

    detail: list[Fault]


_BODY = {
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
}
CLIP = {"requestBody": {"required": True, "description": "the clip's bytes", **_BODY}}


def _refusals(words: dict[int, str]) -> Answers:
    return {status: {"description": why, "model": Refusal} for status, why in words.items()}


REFUSED = _refusals({
    400: "no bytes came, or not all of them",
    408: "the upload stood still",
    413: "the clip is too large",
    415: "the clip is in a form",
    429: "too many clips wait",
    507: "the disk is full",
})  # fmt: skip
ALWAYS = _refusals({
    401: "a token is needed", 403: "the request comes from another web site",
})  # fmt: skip


ALWAYS |= {422: {"description": "a parameter is not as it should be", "model": Faults}}


MISSING = _refusals({404: "there is no such job"})


def in_json(answers: Answers) -> Answers:
    """Return the answers of a path that answers in HTML where all is well, in JSON otherwise."""
    return {
        status: {
            "description": answer["description"],
            "content": {"application/json": {"schema": _reference(answer["model"])}},
        }
        for status, answer in answers.items()
    }


def _reference(model: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
