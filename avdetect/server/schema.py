"""Refusals, requests and answers of `avdetect serve`, for its OpenAPI description."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

Answers = dict[int | str, dict[str, Any]]  # status -> its description and model


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
NO_CALL = _refusals({404: "there is no such call"})
NO_ANSWER = NO_CALL | _refusals({
    409: "the call is decided, or the challenge cannot be answered by this",
}) | {
    422: {
        "description": "the recording, or a parameter, is not as it should be",
        "model": Refusal | Faults,
    },
}  # fmt: skip
PICTURE: Answers = {200: {"description": "a JPEG", "content": {"image/jpeg": {}}}}


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
