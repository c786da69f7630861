"""The panel under changes of the picture: how far each expert falls, and whom it then accuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from extractors.clip import Doubles, Frames
from extractors.media import MediaError
from pipelines.data.samples import Sample
from pipelines.metrics.classification import auc
from pipelines.metrics.sampling_error import wilson_interval
from pipelines.probes.panel import Panel, opening
from pipelines.probes.picture_loss import picture_loss
from pipelines.progress import OnStep
from pipelines.storage.kept_rows import KeptRows
from pipelines.stress.operators.picture import FrameChange

CLEAN = "unchanged"
MakeChange = Callable[[str], FrameChange]  # a clip's name -> its change, the same every time
Logits = dict[str, float]


def judged(
    samples: Sequence[Sample],
    panel: Panel,
    changes: Mapping[str, MakeChange],
    kept: Path | None = None,
    on_step: OnStep = lambda done, total: None,
) -> list[tuple[Sample, dict[str, dict[str, Any]]]]:
    """Return the clips that can be read, and for each change the experts' `logits` on it.

    `loss` is what the change did to the picture, see `picture_loss`.

    Args:
        samples: the clips.
        panel: the experts.
        changes: by name, beside none at all (CLEAN). A change's name must tell all its settings.
        kept: JSON lines; a clip in it is not judged again under the same change.
        on_step: called with the number of clips done and the total.

    Raises:
        InputError: the file holds something else.
    """
    rows = KeptRows(kept, ("path", "change"), panel.session.model)
    every: dict[str, MakeChange] = {CLEAN: lambda name: lambda frames: frames, **changes}
    found = []
    for done, sample in enumerate(samples, 1):
        path, held = str(sample.path), list[Frames]()
        own = {
            name: rows.row((path, name), partial(_judged, sample, panel, make, held))
            for name, make in every.items()
        }
        if own[CLEAN]["logits"]:
            found.append((sample, own))
        on_step(done, len(samples))
    return found


def _judged(sample: Sample, panel: Panel, make: MakeChange, held: list[Frames]) -> dict[str, Any]:
    """Return the row of one clip under one change; `held` keeps its frames for the next."""
    try:
        if not held:
            clip = opening(sample.path, panel.session)
            if clip is None or clip.frames is None:
                return {"logits": {}}
            held.append(clip.frames)
    except MediaError as error:  # counted: fewer clips are judged than given
        return {"logits": {}, "error": str(error)}
    changed = make(sample.path.name)(held[0])
    return {"logits": panel.logits(changed), "loss": picture_loss(held[0], changed)}


def falls(
    found: Sequence[tuple[Sample, Mapping[str, Mapping[str, Any]]]], changes: Sequence[str]
) -> dict[str, Any]:
    """Return for each change and expert its AUC, its drop, and the rates at logit 0.

    A clip counts for an expert that judged it, unchanged and changed. `shift_real` and `shift_fake`
    are mean changes of the logit; `fpr` and `tpr` the shares with a logit of 0 or more.
    """
    table: dict[str, Any] = {}
    for change in changes:
        experts: dict[str, Any] = {}
        names = list(dict.fromkeys(name for _, rows in found for name in rows[CLEAN]["logits"]))
        for name in names:
            both = [
                (float(sample.fake), rows[CLEAN]["logits"][name], rows[change]["logits"][name])
                for sample, rows in found
                if name in rows[CLEAN]["logits"] and name in rows[change]["logits"]
            ]
            if both:
                experts[name] = _fall(*(np.array(column) for column in zip(*both, strict=True)))
        losses = [rows[change]["loss"] for _, rows in found if "loss" in rows[change]]
        mean = (
            {k: float(np.mean([loss[k] for loss in losses])) for k in losses[0]} if losses else {}
        )
        table[change] = {"experts": experts, "picture": mean}
    return table


def _fall(labels: Doubles, before: Doubles, after: Doubles) -> dict[str, Any]:
    row: dict[str, Any] = {"fakes": int(labels.sum()), "reals": int((1 - labels).sum())}
    for label, rate, shift in ((0, "fpr", "shift_real"), (1, "tpr", "shift_fake")):
        own = labels == label
        if own.any():
            hits = int((after[own] >= 0).sum())
            row[rate], row[f"{rate}_interval"] = hits / own.sum(), wilson_interval(hits, own.sum())
            row[shift] = float((after[own] - before[own]).mean())
    if row["fakes"] and row["reals"]:
        row |= {"auc": auc(labels, after), "drop": auc(labels, before) - auc(labels, after)}
    return row
