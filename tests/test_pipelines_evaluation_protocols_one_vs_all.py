"""One-vs-all: on forgeries whose traces are known, the matrix has their families as blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from extractors.errors import InputError
from pipelines.data.samples import WHOLE, Sample
from pipelines.evaluation.protocols.one_vs_all import one_vs_all, one_vs_all_table

FAMILIES = {"swap a": "swap", "swap b": "swap", "talk a": "reenactment", "talk b": "reenactment"}
DIRECTIONS = {"swap": 0, "reenactment": 1}


def traces(method: str, count: int, seed: int) -> np.ndarray:
    """(N, 6): a trace of the family, a fainter one of the method's own, and noise."""
    rows = np.random.default_rng(seed).normal(size=(count, 6))
    if method != "real":
        rows[:, DIRECTIONS[FAMILIES[method]]] += 1.5
        rows[:, 2 + list(FAMILIES).index(method)] += 1.5
    return rows


def trained(method: str) -> LogisticRegression:
    rows = np.concatenate([traces("real", 400, 1), traces(method, 400, 2)])
    return LogisticRegression().fit(rows, np.repeat([0, 1], 400))


def test_forgeries_of_a_family_are_found_by_what_learned_another_of_it() -> None:
    samples, clips = [], []
    for number, method in enumerate(("real", *FAMILIES)):
        for i, row in enumerate(traces(method, 300, 10 + number)):
            spans, family = (() if method == "real" else WHOLE), FAMILIES.get(method, "")
            samples.append(Sample(Path(f"{method} {i}"), "test", method, "s", "", spans, None, None,
                                  forgery_type=family))  # fmt: skip
            clips.append(row)
    table = np.array(clips)
    results: dict[str, dict[str, Any]] = {}
    for method in FAMILIES:
        scores = trained(method).predict_proba(table)[:, 1]
        results[method] = {
            str(s.path): {"score": float(v)} for s, v in zip(samples, scores, strict=True)
        }
    found = one_vs_all(samples, results)
    for method in FAMILIES:  # the diagonal is each detector's AUC within its own method
        own = [s.method in ("real", method) for s in samples]
        scores = trained(method).predict_proba(table[own])[:, 1]
        labels = [s.fake for s, chosen in zip(samples, own, strict=True) if chosen]
        assert found["auc"][method][method] == pytest.approx(roc_auc_score(labels, scores))
    assert found["diagonal"] > 0.9
    assert found["diagonal"] > found["same_family"] > 0.75
    assert found["other_families"] == pytest.approx(0.5, abs=0.05)
    assert one_vs_all_table(found)[0] == (
        "| trained on | talk a | talk b | swap a | swap b |"  # family by family
    )


def test_a_method_without_a_fake_is_refused_and_a_pair_without_scores_is_a_dash() -> None:
    samples = [
        Sample(Path("r"), "test", "real", "s", "", (), None, None),
        Sample(Path("f"), "test", "a", "s", "", WHOLE, None, None),
    ]
    with pytest.raises(InputError, match="no fake is made by b; the truth has a"):
        one_vs_all(samples, {"b": {}})
    found = one_vs_all(samples, {"a": {"f": {"score": 0.5}}})
    assert found["auc"] == {"a": {"a": None}}
    assert found["diagonal"] is None
    assert "**–**" in one_vs_all_table(found)[2]
