"""Clips with their labels and scores, and the metrics that every protocol reports of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from extractors.clip import Doubles
from pipelines.data.samples import Sample
from pipelines.metrics.classification import auc, average_precision, eer

Results = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class ScoredClips:
    """Clips that a detector scored."""

    samples: list[Sample]
    labels: Doubles  # (N,) 1 fake, 0 real
    scores: Doubles  # (N,) P(fake)

    def metrics(self) -> dict[str, Any]:
        """Return counts, and where both classes are there AUC, AP, EER and accuracy at 0.5.

        EER is DeepfakeBench's, see `eer`.
        """
        fakes = int(self.labels.sum())
        row: dict[str, Any] = {"fakes": fakes, "reals": len(self.labels) - fakes}
        if min(row.values()) == 0:
            return row
        return row | {
            "auc": auc(self.labels, self.scores),
            "ap": average_precision(self.labels, self.scores),
            "eer": eer(self.labels, self.scores, "deepfakebench"),
            "accuracy": float(((self.scores >= 0.5) == (self.labels == 1)).mean()),
        }


def scored_clips(samples: Sequence[Sample], results: Results) -> ScoredClips:
    """Return the clips that have a clip score in results by path."""
    pairs = [
        (sample, float(score))
        for sample in samples
        if (score := results.get(str(sample.path), {}).get("score")) is not None
    ]
    kept = [sample for sample, _ in pairs]
    labels = np.array([float(sample.fake) for sample in kept])
    return ScoredClips(kept, labels, np.array([score for _, score in pairs]))


def mean_of(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """Return the unweighted mean of a metric over the rows that have it; None if none has."""
    values = [row[key] for row in rows if key in row]
    return float(np.mean(values)) if values else None
