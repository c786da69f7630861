"""What every protocol reports of scored clips: normal scores have metrics in closed form."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from pipelines.data.samples import WHOLE, Sample
from pipelines.evaluation.protocols.scored import mean_of, scored_clips

GAUSS = NormalDist()


def clip(name: str, fake: bool) -> Sample:
    return Sample(Path(name), "dev", "m", "s", "p", WHOLE if fake else (), None, None)


@pytest.mark.parametrize("distance", [0.5, 1.5, 3.0])
def test_normal_scores_have_the_auc_and_equal_error_rate_of_their_distance(
    distance: float,
) -> None:
    generator, samples, results = np.random.default_rng(0), [], {}
    for number in range(6_000):
        fake = number % 2 == 1
        samples.append(clip(f"{number}.mp4", fake))
        value = generator.normal(distance * fake)
        results[f"{number}.mp4"] = {"score": GAUSS.cdf(float(value - distance / 2))}
    row = scored_clips(samples, results).metrics()
    assert (row["fakes"], row["reals"]) == (3_000, 3_000)
    assert row["auc"] == pytest.approx(GAUSS.cdf(distance / 2**0.5), abs=0.02)
    assert row["eer"] == pytest.approx(GAUSS.cdf(-distance / 2), abs=0.02)
    assert row["accuracy"] == pytest.approx(1 - GAUSS.cdf(-distance / 2), abs=0.02)


def test_clips_without_a_score_are_left_out_and_one_class_has_counts_alone() -> None:
    samples = [clip("a", True), clip("b", True), clip("c", False)]
    scored = scored_clips(samples, {"a": {"score": 0.9}, "b": {"score": None}})
    assert [s.path.name for s in scored.samples] == ["a"]
    assert scored.metrics() == {"fakes": 1, "reals": 0}


def test_a_mean_is_over_the_rows_that_have_the_metric() -> None:
    assert mean_of([{"auc": 0.5}, {}, {"auc": 1.0}], "auc") == 0.75
    assert mean_of([{}], "auc") is None
