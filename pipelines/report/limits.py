"""What is known of the shipped weights' mistakes, for the head of a page.

The numbers are measured and written beside the weights, in `limits.json`, and belong to the one
file whose digest stands there: of other weights nothing is said.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TypedDict

from pipelines.detection.result import ModelInfo
from pipelines.detection.starter import WEIGHTS

LIMITS = WEIGHTS / "limits.json"


class Alarms(TypedDict):
    """How often genuine clips are called fake."""

    found: int  # clips that were
    of: int  # clips that were judged
    what: str  # which clips those are


class KnownLimits(TypedDict):
    """What is known of the mistakes of one file of weights."""

    name: str
    version: str
    sha256: str  # of the file
    genuine_called_fake: Alarms
    weak: list[str]  # what the weights judge badly, and how


def limits_of(model: ModelInfo) -> KnownLimits | None:
    """Return what is known of these weights' mistakes, None where they are not those described."""
    known = described()
    return known if known["sha256"] == model["sha256"] else None


@cache
def described() -> KnownLimits:
    """Return what stands beside the shipped weights."""
    limits: KnownLimits = json.loads(LIMITS.read_text(encoding="utf-8"))
    return limits
