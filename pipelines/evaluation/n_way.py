"""Classification of forgeries into 2, 3 and 16 classes, as ForgeryNet's lists of videos label them.

    python -m pipelines.evaluation.n_way LABELS.txt PREDICTIONS.csv

prints the metrics of all three. The predictions have a column `path` and one for each class of the
finest labels, `p0` to `p15`; which coarser class each belongs to is read from the labels.

Source: He et al., ForgeryNet, CVPR 2021: real, identity replaced and identity remained; real and 15
methods.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from extractors.clip import Doubles
from extractors.errors import InputError
from pipelines.metrics.classification import average_precision

WAYS = (2, 3, 16)


@dataclass(frozen=True)
class WayLabel:
    """A line of a list: a video, its forged frames, and its class among 2, 3 and 16."""

    path: str
    forged: tuple[tuple[int, int], ...]  # first frame and number of frames
    classes: tuple[int, int, int]  # of `WAYS`


def read_way_labels(path: Path) -> list[WayLabel]:
    """Return the labels of a list of ForgeryNet.

    A line is `<segments> <video> [<first frame> <frames> <fake or real>]... <2> <3> <16>`.

    Raises:
        InputError: the file cannot be read, or a line is none of these.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    return [_label(line, f"{path}, line {n}") for n, line in enumerate(lines, 1) if line.strip()]


def _label(line: str, place: str) -> WayLabel:
    words = line.split()
    try:
        count, video = int(words[0]), words[1]
        first, last = words[2 : 2 + 3 * count], [int(word) for word in words[2 + 3 * count :]]
        rows = [
            (int(first[i]), int(first[i + 1]), int(first[i + 2])) for i in range(0, 3 * count, 3)
        ]
        two, three, sixteen = last
    except (ValueError, IndexError) as error:
        raise InputError(f"{place}: is no line of a list of labels") from error
    if any(not 0 <= name < ways for name, ways in zip(last, WAYS, strict=True)):
        raise InputError(f"{place}: expected classes below {WAYS}, got {last}")
    forged = tuple((begin, frames) for begin, frames, fake in rows if fake)
    return WayLabel(video, forged, (two, three, sixteen))


def folding(labels: Sequence[WayLabel], ways: int) -> list[int]:
    """Return the coarser class of each of the 16, by the labels; -1 where none has it.

    Raises:
        InputError: two labels contradict each other.
    """
    column, coarse = WAYS.index(ways), [-1] * WAYS[-1]
    for label in labels:
        fine, wanted = label.classes[-1], label.classes[column]
        if coarse[fine] not in (-1, wanted):
            raise InputError(
                f"{label.path}: class {fine} of 16 is class {wanted} of {ways} here, and "
                f"{coarse[fine]} elsewhere"
            )
        coarse[fine] = wanted
    return coarse


def folded(scores: Doubles, groups: Sequence[int], ways: int) -> Doubles:
    """Return probabilities (N, ways) of coarser classes: the sums of those (N, C) of their own."""
    members = np.array([[group == way for way in range(ways)] for group in groups], dtype=float)
    summed: Doubles = scores @ members
    return summed


def way_metrics(truth: ArrayLike, scores: ArrayLike) -> dict[str, float]:
    """Return accuracy, mean accuracy of classes and mAP of classes (N,) by scores (N, C).

    - accuracy: share of clips whose highest score is that of their class.
    - class_accuracy: the mean over classes that occur: chance is one in as many.
    - map: mean average precision of each class against all others.
    """
    classes, values = np.asarray(truth), np.asarray(scores, dtype=np.float64)
    right = values.argmax(axis=1) == classes
    there = np.unique(classes)
    ranked = [
        average_precision(classes == c, values[:, c])
        for c in there
        if 0 < (classes == c).sum() < len(classes)
    ]
    return {
        "accuracy": float(right.mean()),
        "class_accuracy": float(np.mean([right[classes == c].mean() for c in there])),
        "map": float(np.mean(ranked)) if ranked else float("nan"),
    }


def n_way(labels: Sequence[WayLabel], scores: Doubles) -> dict[int, dict[str, float]]:
    """Return the metrics for 2, 3 and 16 classes of probabilities (N, 16) of the labelled videos.

    Raises:
        InputError: the labels contradict each other.
    """
    found = {}
    for column, ways in enumerate(WAYS):
        truth = [label.classes[column] for label in labels]
        found[ways] = way_metrics(truth, folded(scores, folding(labels, ways), ways))
    return found


def read_predictions(path: Path, labels: Sequence[WayLabel]) -> Doubles:
    """Return the probabilities (N, 16) of the labelled videos in a CSV file, in their order.

    Raises:
        InputError: the file cannot be read, or lacks a video, a column or a number.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = {row["path"]: row for row in csv.DictReader(file)}
        return np.array(
            [[float(rows[label.path][f"p{c}"]) for c in range(WAYS[-1])] for label in labels]
        )
    except KeyError as error:
        raise InputError(f"{path}: has no {error}") from error
    except (OSError, UnicodeDecodeError, ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def main(arguments: Sequence[str]) -> None:
    """Print the metrics of a file of predictions."""
    if len(arguments) != 2:
        raise InputError("give the list of labels and the predictions")
    labels = read_way_labels(Path(arguments[0]))
    lines = ["| classes | accuracy | mean of classes | mAP |", "|---|---|---|---|"]
    for ways, row in n_way(labels, read_predictions(Path(arguments[1]), labels)).items():
        cells = " | ".join(f"{row[name]:.3f}" for name in ("accuracy", "class_accuracy", "map"))
        lines.append(f"| {ways} | {cells} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(str(error))
