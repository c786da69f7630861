"""Scores within a source: what telling sources apart cannot give."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.metrics.classification import auc
from pipelines.metrics.within_sources import within_sources


def test_a_detector_of_sources_is_at_chance_within_them() -> None:
    generator = np.random.default_rng(0)
    sources = np.repeat(["fakes mostly", "real mostly"], 200)
    labels = np.r_[np.arange(200) % 10 > 0, np.arange(200) % 10 == 0].astype(float)
    scores = (sources == "fakes mostly") + 0.01 * generator.random(400)
    assert auc(labels, scores) > 0.85
    found = within_sources(labels, scores, sources)
    assert found["within_sources_auc_interval"][0] < 0.5 < found["within_sources_auc_interval"][1]


def test_every_pair_of_a_source_counts_once() -> None:
    labels = np.array([1, 0, 0, 1, 1, 0, 1], dtype=float)
    scores = np.array([0.5, 0.5, 0.4, 0.1, 0.9, 0.3, 0.0])
    sources = np.array(["a", "a", "a", "b", "b", "b", "alone"])
    found = within_sources(labels, scores, sources)
    assert found["by_source"] == {
        "a": {"fakes": 1, "reals": 2, "auc": pytest.approx(0.75)},  # a tie and a win
        "b": {"fakes": 2, "reals": 1, "auc": pytest.approx(0.5)},
    }
    assert found["within_sources_auc"] == pytest.approx((1.5 + 1) / 4)


def test_of_one_source_it_is_the_plain_auc() -> None:
    generator = np.random.default_rng(1)
    labels = (np.arange(60) % 3 == 0).astype(float)
    scores = generator.random(60).round(1) + 0.2 * labels
    found = within_sources(labels, scores, np.full(60, "one"))
    assert found["within_sources_auc"] == pytest.approx(auc(labels, scores))
    assert (
        found["within_sources_auc_interval"][0]
        < found["within_sources_auc"]
        < found["within_sources_auc_interval"][1]
    )


def test_sources_of_one_class_say_nothing() -> None:
    found = within_sources(np.array([1.0, 0.0]), np.array([0.9, 0.1]), np.array(["a", "b"]))
    assert found == {}
