"""How well clips are judged before and after a change of the weights, and how far scores move."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor

from pipelines.adapt.clip_table import FILE, Calibration, ClipTable, WeightChange, all_logits
from pipelines.adapt.clip_tracks import COLUMNS
from pipelines.metrics.classification import auc, bootstrap_interval
from pipelines.train.losses import UNKNOWN

AUDIO = COLUMNS.index("audio")
HALF_KNOWN = 0.5  # of the faces: with less, a picture alone makes no verdict (see `decide`)


class Measured(TypedDict):
    """How clips are judged."""

    genuine: int
    genuine_called_fake: int
    fakes: int
    fakes_called_fake: int
    fakes_called_real: int
    auc: float | None  # of the score; None: only one class
    interval: tuple[float, float] | None  # 95 %, over clips
    tracks: dict[str, float]  # AUC of picture and sound, where both classes are known


class Effect(TypedDict):
    """How clips are judged before and after a change, and how far their scores move."""

    clips: int
    before: Measured
    after: Measured
    moved_mean: float  # of |score after - score before|
    moved_most: float
    other_verdicts: int


def effect(
    table: ClipTable, change: WeightChange, calibration: Calibration, uncertain: tuple[float, float]
) -> Effect:
    """Return the effect of a change on the judged clips of a table.

    uncertain: the scores between which nothing is decided.
    """
    judged = torch.nonzero(table.judged.any(dim=1))[:, 0]
    table = table.rows(judged)
    both = (WeightChange.none(table.points.shape[1]), change)
    logits = [all_logits(table, each, calibration) for each in both]
    calls = [_called(table, x.sigmoid(), uncertain) for x in logits]
    moved = (logits[1][:, FILE].sigmoid() - logits[0][:, FILE].sigmoid()).abs()
    return {
        "clips": len(judged),
        "before": _measured(table, logits[0], calls[0]),
        "after": _measured(table, logits[1], calls[1]),
        "moved_mean": round(float(moved.mean()), 4) if len(judged) else 0.0,
        "moved_most": round(float(moved.max()), 4) if len(judged) else 0.0,
        "other_verdicts": int((calls[0] != calls[1]).sum()),
    }


def _called(table: ClipTable, scores: Tensor, uncertain: tuple[float, float]) -> Tensor:
    """Return 1 for clips (C,) that scores (C, 3) call fake, -1 for real, 0 for neither."""
    low, high = uncertain
    score = scores[:, FILE]
    thin = (table.known < HALF_KNOWN) & (scores[:, AUDIO] < high)
    calls = (score >= high).long() - (score <= low).long()
    return torch.where(thin, 0, calls)


def _measured(table: ClipTable, logits: Tensor, calls: Tensor) -> Measured:
    fake = table.labels[:, FILE] == 1
    tracks = {}
    for column, modality in enumerate(COLUMNS):
        known = (table.labels[:, column] != UNKNOWN) & table.judged[:, column]
        labels = table.labels[known, column]
        if 0 < int(labels.sum()) < len(labels):
            tracks[modality] = round(auc(labels.numpy(), logits[known, column].numpy()), 4)
    area, interval = None, None
    if 0 < int(fake.sum()) < len(fake):
        truth, scores = fake.double().numpy(), logits[:, FILE].numpy()
        area = round(auc(truth, scores), 4)
        low, high = bootstrap_interval(auc, truth, scores)
        interval = (round(low, 4), round(high, 4))
    return {
        "genuine": int((~fake).sum()),
        "genuine_called_fake": int((calls[~fake] == 1).sum()),
        "fakes": int(fake.sum()),
        "fakes_called_fake": int((calls[fake] == 1).sum()),
        "fakes_called_real": int((calls[fake] == -1).sum()),
        "auc": area,
        "interval": interval,
        "tracks": tracks,
    }
