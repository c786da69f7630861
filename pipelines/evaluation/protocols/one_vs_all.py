"""One-vs-all: detectors that each learned one method, tried on the fakes of every other.

DF40's fourth protocol (Yan and others, NeurIPS 2024): a matrix of AUCs. A detector that learned
traces of a family of forgeries does well in a block of it; one that learned a single method's does
well on the diagonal alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from extractors.errors import InputError
from pipelines.data.samples import Sample
from pipelines.evaluation.markdown import head, line, text
from pipelines.evaluation.protocols.scored import Results, scored_clips


def one_vs_all(samples: Sequence[Sample], trained: Mapping[str, Results]) -> dict[str, Any]:
    """Return the AUC of each detector on the fakes of each method, against all genuine clips.

    Args:
        samples: test clips with their methods, and families (`forgery_type`) where known.
        trained: results by path, by the method that the detector was trained on.

    Returns:
        `auc` by trained and tested method (None: it scored no clip of either class), and the means
        over the `diagonal`, over pairs of different methods of the `same_family`, and over those of
        `other_families`; None without such a pair.

    Raises:
        InputError: a detector was trained on a method of which there is no fake.
    """
    families = {s.method: s.forgery_type for s in samples if s.fake}
    unknown = [name for name in trained if name not in families]
    if unknown:
        known = ", ".join(sorted(families)) or "none"
        raise InputError(f"no fake is made by {', '.join(unknown)}; the truth has {known}")
    matrix = {
        learned: {name: _against_genuine(samples, results, name) for name in sorted(families)}
        for learned, results in trained.items()
    }
    pairs = {
        kind: [
            value
            for learned, row in matrix.items()
            for name, value in row.items()
            if value is not None and _kind(learned, name, families) == kind
        ]
        for kind in ("diagonal", "same_family", "other_families")
    }
    means = {kind: float(np.mean(found)) if found else None for kind, found in pairs.items()}
    return {"families": families, "auc": matrix, **means}


def _against_genuine(samples: Sequence[Sample], results: Results, method: str) -> float | None:
    clips = scored_clips([s for s in samples if not s.fake or s.method == method], results)
    area: float | None = clips.metrics().get("auc")
    return area


def _kind(learned: str, name: str, families: Mapping[str, str]) -> str:
    if learned == name:
        return "diagonal"
    own = families[learned]
    return "same_family" if own and own == families[name] else "other_families"


def _block_order(families: Mapping[str, str]) -> list[str]:
    """Return the methods family by family, so that blocks stand out."""
    return sorted(families, key=lambda name: (families[name], name))


def one_vs_all_table(metrics: Mapping[str, Any]) -> list[str]:
    """Return a row per trained method, a column per tested one, and the means."""
    order = _block_order(metrics["families"])
    lines = head(["trained on", *order])
    for learned in (name for name in order if name in metrics["auc"]):
        row = metrics["auc"][learned]
        cells = (f"**{text(row[n])}**" if n == learned else text(row[n]) for n in order)
        lines.append(line([learned, *cells]))
    means = {"own method": "diagonal", "others of its family": "same_family",
             "other families": "other_families"}  # fmt: skip
    told = ", ".join(f"{words} {text(metrics[key])}" for words, key in means.items())
    return [*lines, "", f"Mean AUC: {told}."]
