"""Clips and a detector in, how much worse it gets by operator and severity out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from extractors.errors import InputError
from extractors.media import MediaError
from pipelines.data.samples import Sample, truths
from pipelines.detection.session import DetectorSession
from pipelines.metrics.classification import FAILED
from pipelines.metrics.paired import paired_auc
from pipelines.progress import OnStep
from pipelines.storage.kept_rows import KeptRows
from pipelines.stress.perturb import OPERATORS, SEVERITIES, perturbed

Row = Mapping[str, Any]
SweepKey = tuple[str, str, int]
KEY = ("path", "operator", "severity")


@dataclass(frozen=True)
class Perturbing:
    """What clips are perturbed with, and how many of them are."""

    operators: tuple[str, ...] = OPERATORS
    severities: tuple[int, ...] = SEVERITIES
    clips: int | None = None  # None: all

    def __post_init__(self) -> None:
        unknown = [name for name in self.operators if name not in OPERATORS]
        wrong = [severity for severity in self.severities if severity not in SEVERITIES]
        if unknown or wrong:
            raise InputError(
                f"unknown operators {unknown} or severities {wrong}; known operators: "
                f"{', '.join(OPERATORS)}"
            )

    def cases(self, samples: Sequence[Sample]) -> list[SweepKey]:
        """Return what is to be judged, one operator and severity after the other."""
        return [
            (str(sample.path), operator, severity)
            for operator in self.operators
            for severity in self.severities
            for sample in samples
        ]


def chosen_clips(samples: Sequence[Sample], clips: int | None) -> list[Sample]:
    """Return so many samples, real and fake as evenly as there are, spread over the methods."""
    if clips is None or clips >= len(samples):
        return list(samples)
    order = np.random.default_rng(0).permutation(len(samples))
    waiting: dict[tuple[bool, str], list[Sample]] = defaultdict(list)
    for index in order:
        waiting[samples[index].fake, samples[index].method].append(samples[index])
    real = [s for (fake, _), group in waiting.items() if not fake for s in group]
    fakes = [group for (fake, _), group in sorted(waiting.items()) if fake]
    turns = [
        group[i]
        for i in range(max(map(len, fakes), default=0))
        for group in fakes
        if i < len(group)
    ]
    half = max(clips - len(turns), min(clips // 2, len(real)))
    return [*real[:half], *turns[: clips - half]]


def judge_perturbed(
    samples: Sequence[Sample],
    session: DetectorSession,
    perturbing: Perturbing,
    kept: Path,
    on_step: OnStep = lambda done, total: None,
) -> dict[SweepKey, Row]:
    """Return the scores of each clip under each operator and severity, and keep them in a file.

    Args:
        samples: the clips.
        session: judges them.
        perturbing: with what.
        kept: JSON lines; what stands there already, by the same model, is not judged again.
        on_step: told how many clips are judged, and of how many.

    Raises:
        InputError: the file holds something else.
    """
    wanted = perturbing.cases(samples)
    rows = KeptRows(kept, KEY, session.model)
    found: dict[SweepKey, Row] = {}
    for done, key in enumerate(wanted, 1):
        found[key] = rows.row(key, partial(_judge, key, session))
        on_step(done, len(wanted))
    return found


def _judge(key: SweepKey, session: DetectorSession) -> dict[str, Any]:
    path, operator, severity = key
    change = partial(perturbed, operator=operator, severity=severity, seed=Path(path).name)
    try:
        verdict = session.detect(path, change=change)
    except MediaError as error:
        return {"error": str(error)}
    return {column: getattr(verdict, column) for column in truths()}


def work_ahead(
    samples: Sequence[Sample],
    clean: Mapping[str, Row],
    perturbing: Perturbing,
    kept: Path,
    model: Row,
) -> str:
    """Return in a sentence how many judgements are ahead, and how long they take at least.

    The time is that of the clean results, each as long as it took when it was made.
    """
    wanted = perturbing.cases(samples)
    rows = KeptRows(kept, KEY, model).rows
    left = [path for path, *case in wanted if (path, *case) not in rows]
    known = [seconds for s in samples if (seconds := clean.get(str(s.path), {}).get("seconds"))]
    words = (
        f"{len(samples)} clips, {len(perturbing.operators)} operators, severities "
        f"{', '.join(map(str, perturbing.severities))}: {len(left)} of {len(wanted)} judgements "
        "are ahead"
    )
    if not known or not left:
        return words
    mean = float(np.mean(known))
    total = sum(clean.get(path, {}).get("seconds") or mean for path in left)
    time = f"{total / 3600:.1f} hours" if total >= 3600 else f"{ceil(total / 60)} minutes"
    return f"{words}, {time} or more"


def robustness(
    samples: Sequence[Sample], clean: Mapping[str, Row], rows: Mapping[SweepKey, Row]
) -> dict[str, Any]:
    """Return for each score the AUC by operator and severity, how far it fell, and the shifts.

    A fall is tested on the very same clips (DeLong). A clip without a score counts 0.5, clean and
    perturbed. `mean_drop` is the mean over operators of their mean over severities. `shift_real`
    and `shift_fake` are how far the scores moved in the mean, over clips that have one before and
    after: where all rise, the AUC stays and false alarms grow.

    Args:
        samples: the clips that were perturbed.
        clean: their results as they are, by path.
        rows: from `judge_perturbed`.
    """
    cases = list(dict.fromkeys((operator, severity) for _, operator, severity in rows))
    found: dict[str, Any] = {"clips": len(samples)}
    for column, truth_of in truths().items():
        known = [(str(s.path), t) for s in samples if (t := truth_of(s)) is not None]
        labels = [int(fake) for _, fake in known]
        if min(sum(labels), len(labels) - sum(labels)) < 2:
            found[column] = {"note": "needs two clips or more of each class"}
            continue
        before = [clean.get(path, {}).get(column) for path, _ in known]
        table: dict[str, dict[str, Any]] = defaultdict(dict)
        for operator, severity in cases:
            after = [rows[path, operator, severity].get(column) for path, _ in known]
            table[operator][str(severity)] = _case(labels, before, after)
        found[column] = _summary(table)
    return found


def _case(
    labels: Sequence[int], before: Sequence[float | None], after: Sequence[float | None]
) -> dict[str, Any]:
    first, second = ([FAILED if s is None else s for s in scores] for scores in (before, after))
    compared = paired_auc(labels, first, second)
    return {
        "auc": compared["auc_against"], "auc_clean": compared["auc"],
        "drop": compared["difference"], "drop_interval": compared["difference_interval"],
        "lower": compared["verdict"] == "better",
        "shift_real": _shift(labels, before, after, 0),
        "shift_fake": _shift(labels, before, after, 1),
        "given": len(labels), "scored": sum(score is not None for score in after),
    }  # fmt: skip


def _shift(
    labels: Sequence[int],
    before: Sequence[float | None],
    after: Sequence[float | None],
    label: int,
) -> float | None:
    """Return how far the scores of clips of one label moved in the mean; None: nobody has two."""
    moves = [
        b - a
        for mine, a, b in zip(labels, before, after, strict=True)
        if mine == label and a is not None and b is not None
    ]
    return float(np.mean(moves)) if moves else None


def _summary(table: Mapping[str, Mapping[str, Row]]) -> dict[str, Any]:
    drops = {
        operator: float(np.mean([case["drop"] for case in row.values()]))
        for operator, row in table.items()
    }
    return {
        "auc_clean": next(iter(next(iter(table.values())).values()))["auc_clean"],
        "mean_drop": float(np.mean(list(drops.values()))),
        "worst_operator": max(drops, key=lambda operator: drops[operator]),
        "drop_by_operator": drops,
        "operators": dict(table),
    }
