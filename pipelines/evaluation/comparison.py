"""Paired comparison of two sets of results on the same clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from extractors.errors import InputError
from pipelines.data.samples import Sample
from pipelines.metrics.classification import FAILED
from pipelines.metrics.paired import paired_auc


def compare(
    samples: Sequence[Sample],
    results: Mapping[str, Mapping[str, Any]],
    others: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return DeLong's comparison of the clip scores of two result files.

    All clips of the truth count. A clip that a detector did not score counts 0.5, so that leaving
    out hard clips gains nothing; `imputed` and `imputed_against` are the numbers of such clips.
    """
    labels = [int(sample.fake) for sample in samples]
    columns = []
    missing = []
    for rows in (results, others):
        scores = [rows.get(str(sample.path), {}).get("score") for sample in samples]
        missing.append(sum(score is None for score in scores))
        columns.append([FAILED if score is None else score for score in scores])
    if len(samples) in missing:
        raise InputError("one of the two result files scores no clip of the truth")
    return {
        "given": len(samples),
        "imputed": missing[0],
        "imputed_against": missing[1],
        **paired_auc(labels, *columns),
    }
