"""Robustness of a detector to perturbations, by operator and severity."""

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
    """The operators and severities of perturbations, and the number of clips."""

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
        """Return the cases to be judged, ordered by operator and severity."""
        return [
            (str(sample.path), operator, severity)
            for operator in self.operators
            for severity in self.severities
            for sample in samples
        ]


def chosen_clips(samples: Sequence[Sample], clips: int | None) -> list[Sample]:
    """Return at most `clips` samples, balanced over real and fake and spread over the methods."""
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
    """Return the scores of each clip under each operator and severity, and append them to a file.

    Args:
        samples: the clips.
        session: the detector.
        perturbing: the operators and severities.
        kept: JSON lines; a case in it, by the same model, is not judged again.
        on_step: called with the number of cases judged and the total.

    Raises:
        InputError: the file holds something else.
    """
    wanted = perturbing.cases(samples)
    rows = KeptRows(kept, KEY, session.model)
    scores: dict[SweepKey, Row] = {}
    for done, key in enumerate(wanted, 1):
        scores[key] = rows.row(key, partial(_judge, key, session))
        on_step(done, len(wanted))
    return scores


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
    """Return a sentence with the number of judgements ahead and a lower bound of their time.

    The time of each is taken from the clean result of its clip.
    """
    wanted = perturbing.cases(samples)
    rows = KeptRows(kept, KEY, model).rows
    left = [path for path, *case in wanted if (path, *case) not in rows]
    times = [seconds for s in samples if (seconds := clean.get(str(s.path), {}).get("seconds"))]
    words = (
        f"{len(samples)} clips, {len(perturbing.operators)} operators, severities "
        f"{', '.join(map(str, perturbing.severities))}: {len(left)} of {len(wanted)} judgements "
        "are ahead"
    )
    if not times or not left:
        return words
    mean = float(np.mean(times))
    total = sum(clean.get(path, {}).get("seconds") or mean for path in left)
    time = f"{total / 3600:.1f} hours" if total >= 3600 else f"{ceil(total / 60)} minutes"
    return f"{words}, {time} or more"


def robustness(
    samples: Sequence[Sample], clean: Mapping[str, Row], rows: Mapping[SweepKey, Row]
) -> dict[str, Any]:
    """Return each score's AUC by operator and severity, its drop, and the shifts of the scores.

    A drop is tested on the same clips (DeLong). A clip without a score counts 0.5, clean and
    perturbed. `mean_drop` is the mean over operators of their mean over severities. `shift_real`
    and `shift_fake` are mean changes of the scores, over clips that have one before and after: if
    all scores rise, the AUC stays and false alarms grow.

    Args:
        samples: the clips that were perturbed.
        clean: their clean results, by path.
        rows: from `judge_perturbed`.
    """
    cases = list(dict.fromkeys((operator, severity) for _, operator, severity in rows))
    metrics: dict[str, Any] = {"clips": len(samples)}
    for column, truth_of in truths().items():
        labelled = [(str(s.path), t) for s in samples if (t := truth_of(s)) is not None]
        labels = [int(fake) for _, fake in labelled]
        if min(sum(labels), len(labels) - sum(labels)) < 2:
            metrics[column] = {"note": "needs two clips or more of each class"}
            continue
        before = [clean.get(path, {}).get(column) for path, _ in labelled]
        table: dict[str, dict[str, Any]] = defaultdict(dict)
        for operator, severity in cases:
            after = [rows[path, operator, severity].get(column) for path, _ in labelled]
            table[operator][str(severity)] = _case(labels, before, after)
        metrics[column] = _summary(table)
    return metrics


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
    """Return the mean change of the scores of clips of one label; None if no clip has both."""
    moves = [
        b - a
        for own, a, b in zip(labels, before, after, strict=True)
        if own == label and a is not None and b is not None
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
