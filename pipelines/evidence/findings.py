"""Findings: measurements outside the range of genuine clips, and sentences about them.

Sentences are made only from measurements that fired and that reliably separate fakes from genuine
clips (the strong features of X2-DFD, Chen et al. 2024, without its language model). Every number
in a sentence is a number of the result or of its evidence.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NotRequired, TypedDict

from pipelines.detection.result import Result, modality_score
from pipelines.evidence.measurements import MEASURES, Measurements
from temporal.segment import Modality

RANGES = Path(__file__).with_name("measurements.json")
STRONG = 0.6  # AUC that a measurement's 95 % interval must clear
TRACKS: dict[Modality, str] = {"visual": "picture", "audio": "sound", "sync": "lips with sound"}
LOW, HIGH = 0.3, 0.7  # probabilities up to and from which X2-DFD says low and high


class Range(TypedDict, total=False):
    """A measurement's range on genuine clips and its AUC, see `pipelines.evidence.ranges.table`."""

    low: float  # 5th percentile of genuine clips
    high: float  # 95th
    larger_in_fakes: bool
    fitted_genuine: int  # clips
    fitted_fakes: int
    auc: float  # on clips that were held out
    auc_interval: list[float]  # of 95 %
    genuine: int  # clips that were held out
    fakes: int
    threshold: float  # see `Separation`; tables of earlier versions have none of these
    balanced_accuracy: float
    balanced_accuracy_interval: list[float]


class Finding(Range):
    """A measurement of the sound, the picture or a face, with its range and AUC if it has them."""

    name: str
    track: int | None  # the face; None: the sound or the whole picture
    modality: Modality  # whose suspicion it can support
    title: str
    unit: str
    meaning: str
    digits: int  # after the point
    value: float
    fired: bool | None  # outside the range of genuine clips, on the side of fakes
    reliable: bool | None  # the interval of its AUC is clear of chance
    pairs: NotRequired[int]  # of a hundred pairs of a fake and a genuine clip, those told apart
    pairs_interval: NotRequired[list[int]]


@cache
def known_ranges() -> dict[str, Range]:
    """Return the range and AUC of each measurement, from `measurements.json`."""
    ranges: dict[str, Range] = json.loads(RANGES.read_text(encoding="utf-8"))
    return ranges


def measured(taken: Measurements, tracks: Sequence[int]) -> list[Finding]:
    """Return a row for every measurement of the sound, the picture and each judged face."""
    whole = taken.of_sound() | taken.of_picture()
    rows = [finding(name, value, None) for name, value in whole.items()]
    for track in tracks:
        rows += [finding(name, value, track) for name, value in taken.of_face(track).items()]
    order = list(MEASURES)
    return sorted(rows, key=lambda row: (row["track"] is not None, order.index(row["name"])))


def finding(name: str, value: float, track: int | None) -> Finding:
    """Return a measurement with its range on genuine clips, its AUC, and whether it fired.

    `fired`: above the 95th percentile of genuine clips (below the 5th, where fakes have the smaller
    values). `reliable`: the interval of its AUC on held-out clips is clear of chance. Both are None
    without a range.
    """
    measure, reference = MEASURES[name], known_ranges().get(name)
    row: Finding = {
        "name": name, "track": track, "modality": measure.modality, "title": measure.title,
        "unit": measure.unit, "meaning": measure.meaning,
        "digits": measure.digits, "value": _rounded(value, measure.digits),
        "fired": None, "reliable": None,
    }  # fmt: skip
    if reference is None:
        return row
    low = _rounded(reference["low"], measure.digits)
    high = _rounded(reference["high"], measure.digits)
    return {
        **row, **reference, "low": low, "high": high,
        "pairs": round(100 * reference["auc"]),
        "pairs_interval": [round(100 * share) for share in reference["auc_interval"]],
        "fired": row["value"] > high if reference["larger_in_fakes"] else row["value"] < low,
        "reliable": reference["auc_interval"][0] > STRONG,
    }  # fmt: skip


def _rounded(value: float, digits: int) -> float:
    """Return a number rounded to `digits` after the point; an integer if that is 0."""
    return round(value, digits) if digits else round(value)


def sentences(rows: Sequence[Finding]) -> list[str]:
    """Return a sentence for each reliable measurement that fired, the most accurate first."""
    firm = [row for row in rows if row["fired"] and row["reliable"]]
    return [_sentence(row) for row in sorted(firm, key=lambda r: -r.get("balanced_accuracy", 0.0))]


def by_networks(result: Result, rows: Sequence[Finding]) -> list[str]:
    """Return a sentence for each track whose measurements are all too weak to count.

    As weak features are in X2-DFD, they are replaced by the networks' calibrated probability; its
    word is high from 0.7 on and low up to 0.3.
    """
    said = []
    for modality, track in TRACKS.items():
        own = [row for row in rows if row["modality"] == modality]
        score = modality_score(result, modality)
        if own and score is not None and not any(row["reliable"] for row in own):
            titles = ", ".join(dict.fromkeys(row["title"] for row in own))
            word = "high" if score >= HIGH else "low" if score <= LOW else "neither high nor low"
            said.append(
                f"Of the {track} no measurement is reliable enough to count ({titles}). In their "
                f"place stands the networks' probability of a fake, {score}: {word}."
            )
    return said


def _sentence(row: Finding) -> str:
    where = "" if row["track"] is None else f" of face {row['track']}"
    side = "above" if row["larger_in_fakes"] else "below"
    unit = f" {row['unit']}" if row["unit"] else ""
    return (
        f"The {row['title']}{where}, {row['value']}{unit}, lies {side} the range of genuine clips, "
        f"{row['low']} to {row['high']}{unit}, as one genuine clip in twenty does. Tried alone on "
        f"clips that it was not fitted on, it told which is the fake in {row['pairs']} of a "
        f"hundred pairs of a fake and a genuine clip; guessing does in fifty."
    )


def agreement(result: Result, rows: Sequence[Finding]) -> str:
    """Return whether the measurements support the verdict, in a sentence or two.

    A measurement can only support a suspicion of its own modality.
    """
    reliable = [row for row in rows if row["reliable"]]
    fired = [row for row in reliable if row["fired"]]
    if not reliable:
        return (
            "None of the measurements that could be taken is known to tell fakes from genuine "
            "clips, so they neither support nor contradict the verdict."
        )
    share = f"{len(fired)} of {_count(reliable)}"
    if result["verdict"] == "real" and fired:
        return (
            f"The verdict and the measurements disagree: the networks call this real, but "
            f"{share} outside the range of genuine clips. Look at them before relying on the "
            f"verdict."
        )
    if result["verdict"] != "fake":
        return f"{share} outside the range of genuine clips."
    suspected = [row for row in reliable if (modality_score(result, row["modality"]) or 0) >= 0.5]
    if not suspected:
        return (
            "No reliable measurement speaks of the track that the networks suspect: the verdict "
            "rests on the networks alone."
        )
    if not any(row["fired"] for row in suspected):
        return (
            f"The verdict and the measurements disagree: the networks call this fake, but "
            f"of the track that they suspect 0 of {_count(suspected)} outside the range of genuine "
            f"clips. The verdict rests on the networks alone."
        )
    return f"The measurements agree with the verdict: {share} outside the range of genuine clips."


def _count(rows: Sequence[object]) -> str:
    return f"{len(rows)} reliable measurement{' lies' if len(rows) == 1 else 's lie'}"
