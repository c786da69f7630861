"""The adapted weights file, and the model card beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypedDict

import torch

from pipelines.adapt.clip_table import Calibration, WeightChange
from pipelines.adapt.clip_tracks import COLUMNS, rule_of
from pipelines.adapt.measure import Effect, Measured
from pipelines.adapt.reference import Subspace
from pipelines.detection.detector import Detector, load_detector, save_detector
from pipelines.detection.result import ModelInfo
from pipelines.storage.files import write_by
from temporal.segment import MODALITIES

Count = Literal["genuine_called_fake", "fakes_called_fake", "fakes_called_real"]
COUNTS: tuple[tuple[str, Count, Literal["genuine", "fakes"]], ...] = (
    ("genuine clips called fake", "genuine_called_fake", "genuine"),
    ("fakes called fake", "fakes_called_fake", "fakes"),
    ("fakes called real", "fakes_called_real", "fakes"),
)


class Adaptation(TypedDict):
    """What was fitted, on what, and what it does."""

    adapted_from: ModelInfo
    manifests: list[str]
    genuine_only: bool
    taught: dict[str, int]  # clips, genuine, fakes, groups
    left_out: dict[str, str]  # clips that could not be used -> why
    unnamed: int  # clips without a person, taken for people of their own
    what: str  # in words, what was changed
    bound: float | None  # with genuine clips alone: see `lower_alarms`
    shifts: dict[str, float]  # of picture and sound, log odds
    held_out: Effect
    reference: Effect | None
    reference_what: str  # which clips those are, or why there are none


def calibration_of(detector: Detector) -> Calibration:
    """Return what makes scores of a detector's clip logits."""
    rows = [detector.calibration[MODALITIES.index(m)].tolist() for m in COLUMNS]
    (scale, shift), (other_scale, other_shift) = rows
    return Calibration((scale, other_scale), (shift, other_shift), detector.config.two_tracks)


def save_adapted(
    path: Path,
    weights: Path,
    change: WeightChange,
    subspaces: Mapping[str, Subspace],
    adaptation: Adaptation,
) -> None:
    """Write the weights with a change as `path`, and their card beside it (suffix .md).

    Raises:
        WeightsError: the file cannot be written.
        OSError: the card cannot be written.
    """
    detector, origin = load_detector(weights), adaptation["adapted_from"]
    with torch.no_grad():
        change_detector(detector, change, subspaces)
    version = f"{origin['version']} adapted"
    detector.config = replace(detector.config, name=path.stem, version=version)
    save_detector(path, detector, {"adaptation": adaptation})
    card = card_of(path.name, adaptation)
    write_by(path.with_suffix(".md"), lambda part: Path(part).write_text(card, encoding="utf-8"))


def change_detector(
    detector: Detector, change: WeightChange, subspaces: Mapping[str, Subspace]
) -> None:
    """WeightChange a detector's rules and calibration in place."""
    for column, modality in enumerate(COLUMNS):
        detector.calibration[MODALITIES.index(modality), 1] += float(change.shifts[column])
        found, space = rule_of(detector, modality), subspaces.get(modality)
        if found is None or space is None:
            continue
        moved = space.directions.double() @ change.rules[column]  # (F,)
        found[1].rule += moved.to(found[1].rule)
        found[1].bias -= float(space.centre.double() @ moved)


def card_of(name: str, adaptation: Adaptation) -> str:
    """Return the model card of adapted weights, as Markdown."""
    origin, taught, held = adaptation["adapted_from"], adaptation["taught"], adaptation["held_out"]
    lines = [
        f"# {name}",
        "",
        f"Weights of avdetect, adapted from {origin['name']} version {origin['version']} "
        f"(SHA-256 {origin['sha256']}) to the clips of {', '.join(adaptation['manifests'])}.",
        "",
        "**Intended use.** A lead for a person who checks further, on clips like those that they "
        "were adapted to. Not evidence by itself. What the card of the original says of weaknesses "
        "holds here too, where nothing below says otherwise.",
        "",
        f"**What was changed.** {adaptation['what']}",
        "",
        f"**What taught.** {taught['genuine']} genuine and {taught['fakes']} forged clips of "
        f"{taught['groups']} persons or recordings; none of these is among those held out."
        + _unnamed(adaptation["unnamed"]),
        *([] if adaptation["bound"] is None else ["", _bound(adaptation["bound"], taught)]),
        "",
        "## Measured",
        "",
        "Intervals: 95 % bootstraps over clips. Fake: score at or above the threshold.",
        "",
        *_table(held, "clips held out of the same manifest"),
        "",
        *_elsewhere(adaptation),
    ]
    if adaptation["left_out"]:
        lines += ["", f"Not used, {len(adaptation['left_out'])} clips:", ""]
        lines += [f"- {clip}: {why}" for clip, why in adaptation["left_out"].items()]
    return "\n".join(lines) + "\n"


def _unnamed(count: int) -> str:
    if not count:
        return ""
    return f" {count} clips name no person and were taken for people of their own: check that."


def _bound(bound: float, taught: dict[str, int]) -> str:
    return (
        f"**Alarms.** One more genuine clip like the {taught['clips']} that taught is called fake "
        f"with a probability of at most {bound:.3f}, if it is as unlike them as they are unlike "
        "each other (split conformal prediction; clips of one person are less unlike)."
    )


def _elsewhere(adaptation: Adaptation) -> list[str]:
    reference, what = adaptation["reference"], adaptation["reference_what"]
    if reference is None:
        return [f"What the change costs elsewhere was not measured: {what}"]
    return [
        *_table(reference, what),
        "",
        f"There scores moved by {reference['moved_mean']:.3f} on average and by "
        f"{reference['moved_most']:.3f} at most; {reference['other_verdicts']} of "
        f"{reference['clips']} clips have another verdict than before.",
    ]


def _table(effect: Effect, what: str) -> list[str]:
    """Return a table with a column before and one after."""
    head = [f"| {what}, {effect['clips']} judged | before | after |", "|---|---|---|"]
    return head + [f"| {' | '.join(row)} |" for row in measured_rows(effect)]


def measured_rows(effect: Effect) -> list[tuple[str, str, str]]:
    """Return rows of a measurement's name and its values before and after, as text."""
    before, after = effect["before"], effect["after"]
    rows = [("AUC (95 %)", _area(before), _area(after))]
    for track, words in (("visual", "picture: AUC"), ("audio", "sound: AUC")):
        if track in before["tracks"]:
            areas = [f"{side['tracks'][track]:.2f}" for side in (before, after)]
            rows.append((words, areas[0], areas[1]))
    for words, found, of in COUNTS:
        counts = [f"{side[found]} of {side[of]}" for side in (before, after)]
        rows.append((words, counts[0], counts[1]))
    return rows


def _area(side: Measured) -> str:
    if side["auc"] is None or side["interval"] is None:
        return "–"
    return f"{side['auc']:.2f} ({side['interval'][0]:.2f}–{side['interval'][1]:.2f})"
