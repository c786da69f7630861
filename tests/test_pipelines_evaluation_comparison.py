"""Two sets of results on the same clips: what was not scored counts half with its detector."""

from __future__ import annotations

from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from pipelines.data.samples import WHOLE, Sample
from pipelines.evaluation.comparison import compare

FAKE = (0, 0, 0, 1, 1, 1)
SAMPLES = [
    Sample(Path(f"{i}.mp4"), "dev", "m", "s", "p", WHOLE if fake else (), None, None)
    for i, fake in enumerate(FAKE)
]


def results(*scores: float | None) -> dict[str, dict[str, float | None]]:
    return {f"{i}.mp4": {"score": score} for i, score in enumerate(scores)}


def test_clips_without_a_score_count_half_and_are_told() -> None:
    mine = results(0.1, 0.2, 0.6, 0.4, 0.8, None)
    others = results(0.1, 0.7, 0.6, 0.4, 0.8, 0.9)
    del others["0.mp4"]
    found = compare(SAMPLES, mine, others)
    assert (found["given"], found["imputed"], found["imputed_against"]) == (6, 1, 1)
    assert found["auc"] == pytest.approx(roc_auc_score(FAKE, [0.1, 0.2, 0.6, 0.4, 0.8, 0.5]))
    assert found["auc_against"] == pytest.approx(
        roc_auc_score(FAKE, [0.5, 0.7, 0.6, 0.4, 0.8, 0.9])
    )
    assert found["difference"] == pytest.approx(found["auc"] - found["auc_against"])


def test_results_of_other_clips_are_not_compared() -> None:
    with pytest.raises(ValueError, match="scores no clip of the truth"):
        compare(SAMPLES, results(*[0.5] * 6), {"other.mp4": {"score": 0.5}})
