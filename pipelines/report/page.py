"""A result, its evidence and its file in, one HTML page out that needs nothing else.

The page is for an editor or a court: it opens from disk, asks no network, prints, and says no more
than its numbers do. All that comes from the file (names, tags) is escaped by the template engine.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from extractors.clip import Floats
from extractors.media import MediaError, read_facts
from pipelines.detection.result import Result, modality_score
from pipelines.evidence.findings import agreement, by_networks, sentences
from pipelines.evidence.moments import Moment
from pipelines.evidence.recorder import Evidence
from pipelines.evidence.tags import TAGS, maps_of
from pipelines.report.lanes import data_uri, fused, lane, spectrogram, ticks
from pipelines.report.limits import limits_of
from pipelines.report.pictures import moment_pictures, silent
from pipelines.report.wording import EVIDENCE, MODALITIES, clock, crowd_words, why_not
from pipelines.taxonomy import taxonomy
from temporal.forgery_map import face_cells
from temporal.segment import Modality

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATES = Path(__file__).parent / "templates"
ONE_IN = (2, 10, 100)  # files is manipulated: the shares for which the score is spelt out
FAINT = 0.2  # of 1: moments whose score is lower have nothing to show
BOXES = 6000  # of all faces together that the page draws, about
FACES = 20  # that are listed one by one
OFF_FACE = 0.5  # share of an expert's evidence off the face from which on the page warns


@dataclass(frozen=True)
class Origin:
    """What made a page."""

    command: str
    version: str  # of avdetect


def write_report(
    result: Result,
    video: str | PathLike[str],
    out: Path,
    evidence: Evidence,
    origin: Origin,
) -> None:
    """Write the page of a result to `out`.

    Args:
        result: a result of schema 1 whose status is ok.
        video: the file that was judged; what it says of itself is read from it.
        out: the page; its folder is made where there is none.
        evidence: of the same file, see `pipelines.evidence.recorder.explain`.
        origin: the command and version that are printed on the page.

    Raises:
        OSError: the page cannot be written.
    """
    page = _template().render(**page_values(result, video, evidence, origin))
    out.parent.mkdir(parents=True, exist_ok=True)
    # A name that is no text, as Linux allows, must not stop the page.
    out.write_text(page, encoding="utf-8", errors="backslashreplace")


@cache
def _template() -> Template:
    """Return the page without its values, compiled once a process."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    engine = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    engine.filters |= {"clock": clock, "kind": EVIDENCE.__getitem__}
    engine.tests["counts"] = lambda change: abs(change) >= 0.005  # is more than 0.00 on the page
    return engine.get_template("report.html")


def page_values(
    result: Result, video: str | PathLike[str], evidence: Evidence, origin: Origin
) -> dict[str, Any]:
    """Return everything that the template shows."""
    numbers = evidence.numbers()
    duration = len(result["timeline"]["visual"]) / result["timeline"]["rate"]
    return {
        "result": result,
        "name": Path(result["path"]).name,
        "limits": limits_of(result["model"]),
        "modalities": MODALITIES,
        "families": taxonomy().families,
        "kinds": EVIDENCE,
        "uncertain": result["uncertain"],
        "faces": sorted(result["faces"], key=lambda face: -face["score"])[:FACES],
        "crowd": crowd_words(result),
        "priors": _priors(result["score"]),
        "duration": duration,
        "ticks": ticks(duration),
        "tracks": _tracks(result),
        "lanes": _lanes(result, evidence),
        "segments": sorted(result["segments"], key=lambda s: s["start"]),
        "evidence": numbers,
        "agreement": agreement(result, numbers["measurements"]),
        "sentences": sentences(numbers["measurements"])
        + by_networks(result, numbers["measurements"]),
        "tag": None if evidence.tag is None else TAGS[evidence.tag].words,
        "off_face": _off_face(evidence.off_face),
        "moments": [
            {
                "moment": moment,
                "pictures": moment_pictures(moment, maps_of(evidence.tag, maps, _face_of(moment))),
                "silent": silent(moment, maps),
            }
            for moment, maps in evidence.moments
            if moment.score >= FAINT
        ],
        "faint": [moment for moment, _ in evidence.moments if moment.score < FAINT],
        "preview": evidence.preview and data_uri(evidence.preview, "video/mp4"),
        "facts": _facts(video),
        "origin": origin,
        "nonce": secrets.token_hex(16),  # no script but the page's own runs, whatever gets in
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "data": {
            "duration": duration,
            "aspect": evidence.aspect,
            "boxes": _boxes(result, evidence),
            "result": {k: v for k, v in result.items() if k != "timeline"},
            "evidence": numbers,
        },
    }


def _face_of(moment: Moment) -> Tensor | None:
    """Return the cells (5, 28, 28) of the face in a moment's shown pictures; None without one."""
    depth = moment.streams.get("depth")
    return None if depth is None else face_cells(depth[moment.shown])


def _tracks(result: Result) -> list[dict[str, Any]]:
    """Return a row a modality: its score or why it has none, its curve, and its segments."""
    rows = []
    for modality, title in MODALITIES.items():
        score = modality_score(result, modality)
        curve = _curve(result, modality)
        row = {
            "name": modality, "title": title, "score": score,
            "why": why_not(modality, result) if score is None else None, "kind": "score",
            "segments": [s for s in result["segments"] if s["modality"] == modality],
        }  # fmt: skip
        if _any(curve):
            row |= {"words": _in_words(curve), "svg": lane({modality: curve}, 0.0, 1.0, 0.5)}
        rows.append(row)
    return rows


def _priors(score: float | None) -> list[dict[str, float]]:
    """Return P(fake) where one in so many files is manipulated.

    By Bayes' rule: the score is calibrated for as many manipulated clips as genuine ones.
    """
    if score is None:
        return []
    rows = []
    for one_in in ONE_IN:
        fake, real = score, (1 - score) * (one_in - 1)
        rows.append({"one_in": one_in, "probability": fake / (fake + real)})
    return rows


def _lanes(result: Result, evidence: Evidence) -> list[dict[str, Any]]:
    """Return what can be unfolded below the tracks, each with its text alternative and segments."""
    lanes: list[dict[str, Any]] = []
    highest = fused(result["timeline"])
    if sum(_any(_curve(result, modality)) for modality in MODALITIES) > 1:
        lanes.append({
            "name": "fused", "title": "highest of these", "kind": "score",
            "words": _in_words(highest), "svg": lane({"fused": highest}, 0.0, 1.0, 0.5),
            "segments": result["segments"],
        })  # fmt: skip
    picture = spectrogram(evidence.spectrogram)
    if picture is not None:
        lanes.append({
            "name": "spectrogram", "title": "spectrum of the sound", "kind": "image",
            "words": "Sound by frequency, 0 to 8 kHz on a mel scale; brighter is louder.",
            "uri": picture,
            "segments": [s for s in result["segments"] if s["modality"] == "audio"],
        })  # fmt: skip
    if _any(evidence.lips) and _any(evidence.loudness):
        lanes.append({
            "name": "lips", "title": "lip opening and loudness", "kind": "pair",
            "words": "Lip opening (solid) and loudness (dashed), each from its least to its most.",
            "svg": lane({"lips": _unit(evidence.lips), "loudness": _unit(evidence.loudness)},
                        -0.05, 1.05, None),
            "segments": [s for s in result["segments"] if s["modality"] == "sync"],
        })  # fmt: skip
    return lanes


def _curve(result: Result, modality: Modality) -> Floats:
    """Return the scores (T,) of a modality; NaN where it was not judged."""
    return np.array([np.nan if v is None else v for v in result["timeline"][modality]], float)


def _any(values: Any) -> bool:
    return bool(np.isfinite(values).any())


def _unit(values: Any) -> Any:
    """Return values between their 1st and 99th percentile as 0 to 1; NaN where unknown."""
    low, high = np.nanpercentile(values, (1, 99))
    return ((values - low) / max(high - low, 1e-6)).clip(0, 1)


def _in_words(curve: Any) -> str:
    """Return what a score's curve (T,), judged somewhere, shows."""
    top = int(np.nanargmax(curve))
    above, unknown = int((curve > 0.5).sum()) / 25, int(np.isnan(curve).sum()) / 25
    words = f"Highest {curve[top]:.2f} at {clock((top + 0.5) / 25)}; above 0.5 for {above:.1f} s"
    return words + (f"; not judged for {unknown:.1f} s." if unknown else ".")


def _off_face(shares: Mapping[str, float]) -> list[str]:
    """Return a warning for each expert whose evidence lies mostly off the face."""
    area = shares.get("area")
    return [
        f"{100 * share:.0f} % of what the network for {EVIDENCE[name]} goes by lies off the face, "
        f"where {100 * area:.0f} % of the crop is: it may judge the background rather than "
        "the face."
        for name, share in shares.items()
        if area is not None and name != "area" and share > max(OFF_FACE, area)
    ]


def _boxes(result: Result, evidence: Evidence) -> list[dict[str, Any]]:
    """Return the boxes of the faces that were judged, thinned for long files."""
    scores = {face["track"]: face["score"] for face in result["faces"]}
    total = sum(len(squares) for track, (_, squares) in evidence.boxes.items() if track in scores)
    stride = max(1, -(-total // BOXES))
    rows = []
    for track, (first, squares) in evidence.boxes.items():
        if track in scores:
            rows.append({
                "track": track, "score": scores[track], "first": first, "stride": stride,
                "steps": len(squares),
                "squares": [[round(float(v), 4) for v in row] for row in squares[::stride]],
            })  # fmt: skip
    return rows


def _facts(video: str | PathLike[str]) -> dict[str, Any] | None:
    """Return what the file says of itself, None where it can no longer be read."""
    try:
        return read_facts(video)
    except MediaError:
        return None
