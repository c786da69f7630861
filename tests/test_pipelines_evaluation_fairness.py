"""Fairness: planted bias is found as large as it was planted, and chance is not taken for bias."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from pipelines.data.samples import WHOLE, Sample
from pipelines.evaluation.fairness import fairness, holm
from pipelines.metrics.sampling_error import auc_error, wilson_interval


def corpus(
    alarms: dict[str, float], persons: int = 40, clips: int = 10, hits: float = 0.8
) -> tuple[list[Sample], dict[str, dict[str, Any]]]:
    """Return clips of which each group has exactly these shares of false alarms and hits."""
    samples, results = [], {}
    for group, share in alarms.items():
        for person in range(persons):
            for fake, rate in ((False, share), (True, hits)):
                for clip in range(clips):
                    path = Path(f"{group}/{person}/{fake}{clip}.mp4")
                    spans = WHOLE if fake else ()
                    samples.append(
                        Sample(path, "dev", "m", "s", f"{group}{person}", spans, None, None,
                               groups=(("gender", group), ("age", "18-30")))
                    )  # fmt: skip
                    results[str(path)] = {"score": 0.9 if clip < round(rate * clips) else 0.1}
    return samples, results


def test_planted_bias_is_found_as_large_as_it_was_planted() -> None:
    found = fairness(*corpus({"men": 0.1, "women": 0.3}))["attributes"]["gender"]
    assert found["groups"]["men"]["fpr"] == pytest.approx(0.1)
    assert found["groups"]["women"]["tpr"] == pytest.approx(0.8)
    assert (found["fpr_gap"], found["tpr_gap"]) == (pytest.approx(0.2), 0.0)
    assert found["fpr_worst"] == "women"
    assert found["sum_of_fpr_differences"] == pytest.approx(0.2)  # each is 0.1 from 0.2
    assert found["accuracy_gap"] == pytest.approx(0.1)  # 0.85 and 0.75
    assert found["equalised_odds_gap"] == pytest.approx(0.2)
    assert found["parity_gap"] == pytest.approx(0.1)
    assert found["fpr_gap_p_holm"] == found["fpr_gap_p"] == pytest.approx(1 / 2001)
    assert found["groups"]["men"]["auc"] == pytest.approx(0.8 * 0.9 + (0.8 * 0.1 + 0.2 * 0.9) / 2)


def test_precision_is_of_the_accused_and_types_of_skin_are_compared_by_twos() -> None:
    samples, results = corpus({"1": 0.1, "2": 0.3, "V": 0.4, "vi": 0.4}, persons=20)
    samples = [replace(s, groups=(("skin_type", dict(s.groups)["gender"]),)) for s in samples]
    found = fairness(samples, results)["attributes"]["skin_type"]
    light, dark = found["groups"]["I-II"], found["groups"]["V-VI"]
    assert list(found["groups"]) == ["I-II", "V-VI"]
    assert light["precision"] == pytest.approx(0.8 / (0.8 + 0.2))
    assert dark["precision"] == pytest.approx(0.8 / (0.8 + 0.4))
    assert found["precision_gap"] == pytest.approx(0.8 - 2 / 3)
    assert found["precision_worst"] == "V-VI"
    assert light["fpr_wilson"] == wilson_interval(80, 400)
    assert light["auc_error"] == auc_error(light["auc"], 400, 400)


def test_small_groups_are_told_but_not_compared() -> None:
    found = fairness(*corpus({"men": 0.1, "women": 0.3}, persons=29))["attributes"]["gender"]
    assert found["groups"]["women"]["fpr"] == pytest.approx(0.3)
    assert "fewer than two groups of 30 persons" in found["note"]
    assert "fpr_gap" not in found
    assert (
        "fpr_gap"
        in fairness(*corpus({"men": 0.1, "women": 0.3}, 29), fewest=29)["attributes"]["gender"]
    )


def test_a_single_group_and_pairs_of_attributes() -> None:
    found = fairness(*corpus({"men": 0.1, "women": 0.3}))
    assert "fewer than two groups" in found["attributes"]["age"]["note"]
    pair = found["pairs"]["age × gender"]
    assert list(pair) == ["18-30 × men", "18-30 × women"]
    assert pair["18-30 × women"]["fpr"] == pytest.approx(0.3)


def test_genuine_clips_alone_have_false_alarms_but_no_other_rates() -> None:
    samples, results = corpus({"men": 0.1, "women": 0.3})
    found = fairness([s for s in samples if not s.fake], results)["attributes"]["gender"]
    assert found["fpr_gap"] == pytest.approx(0.2)
    assert "tpr_gap" not in found
    assert "auc" not in found["groups"]["men"]


def test_clips_without_a_score_or_a_group_are_counted() -> None:
    samples, results = corpus({"men": 0.1, "women": 0.3})
    bare = Sample(Path("x.mp4"), "dev", "m", "s", "p", (), None, None)
    results.pop(str(samples[0].path))
    found = fairness([*samples, bare], results)
    assert (found["given"], found["scored"]) == (1600, 1599)
    assert fairness([bare], {})["attributes"] == {}


def biased_persons(seed: int, clips: int = 15) -> tuple[list[Sample], dict[str, dict[str, Any]]]:
    """Return genuine clips of 60 persons, some easy, some hard, all groups dealt by chance."""
    generator = np.random.default_rng(seed)
    samples, results = [], {}
    for person in range(60):
        hard, group = generator.random() < 0.3, "a" if person % 2 else "b"
        for clip in range(clips):
            path = Path(f"{person}/{clip}.mp4")
            samples.append(
                Sample(path, "dev", "real", "s", str(person), (), (), (), groups=(("race", group),))
            )
            results[str(path)] = {"score": float(generator.random() < (0.9 if hard else 0.02))}
    return samples, results


def test_intervals_are_drawn_over_persons_and_not_over_clips() -> None:
    group = fairness(*biased_persons(0))["attributes"]["race"]["groups"]["a"]
    low, high = group["fpr_interval"]
    share, clips = group["fpr"], group["real"]
    by_clips = 2 * 1.96 * np.sqrt(share * (1 - share) / clips)
    assert high - low > 2 * by_clips  # clips of one person agree with each other


def test_groups_dealt_by_chance_look_unfair_as_often_as_their_p_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("evaluation.fairness", "metrics.person_bootstrap"):
        monkeypatch.setattr(f"pipelines.{module}.DRAWS", 99)  # p in whole hundredths
    corpora = 60
    values = np.array(
        [
            fairness(*biased_persons(seed, clips=6))["attributes"]["race"]["fpr_gap_p"]
            for seed in range(corpora)
        ]
    )
    for level in (0.1, 0.5):  # without a gap, p is at most a level in that share of corpora
        low, high = binom.interval(0.999, corpora, level)
        assert low <= (values <= level + 1e-9).sum() <= high, level


def test_light_and_darkness_are_compared_within_each_person() -> None:
    samples, results = [], {}
    for person in range(30):
        for clip in range(10):
            light = "dark" if clip % 2 else "bright"
            path = Path(f"{person}/{clip}.mp4")
            samples.append(
                Sample(
                    path, "dev", "real", "s", str(person), (), (), (), groups=(("lighting", light),)
                )
            )
            alarm = clip in (1, 3) or (clip == 0 and person % 2 == 0)
            results[str(path)] = {"score": float(alarm)}
    found = fairness(samples, results)["attributes"]["lighting"]
    assert found["groups"]["dark"]["persons"] == found["groups"]["bright"]["persons"] == 30
    assert found["fpr_gap"] == pytest.approx(0.4 - 0.1)
    assert found["fpr_gap_p"] < 0.01


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_gaps_have_intervals_that_hold_what_was_planted() -> None:
    found = fairness(*corpus({"men": 0.1, "women": 0.3}))["attributes"]["gender"]
    for name in ("fpr", "tpr", "auc", "accuracy", "parity", "equalised_odds"):
        low, high = found[f"{name}_gap_interval"]
        assert low <= found[f"{name}_gap"] <= high, name
    areas = {name: row["auc"] for name, row in found["groups"].items()}
    assert found["auc_gap"] == pytest.approx(areas["men"] - areas["women"])
    assert found["auc_worst"] == "women"


def mixed_persons(seed: int) -> tuple[list[Sample], dict[str, dict[str, Any]]]:
    """Return clips of 80 persons; in group b genuine and forged scores lie nearer together."""
    generator = np.random.default_rng(seed)
    samples, results = [], {}
    for person in range(80):
        group, ease = ("a", 2.0) if person % 2 else ("b", 0.7)
        for clip in range(4):
            fake = clip % 2 == 1
            path = Path(f"{person}/{clip}.mp4")
            samples.append(
                Sample(path, "dev", "m", "s", str(person), WHOLE if fake else (), None, None,
                       groups=(("race", group),))
            )  # fmt: skip
            score = generator.normal(ease * fake, 1)
            results[str(path)] = {"score": round(float(1 / (1 + np.exp(-score))), 2)}
    return samples, results


def test_the_interval_of_a_groups_auc_is_that_of_a_plain_bootstrap_over_persons() -> None:
    samples, results = mixed_persons(0)
    group = fairness(samples, results)["attributes"]["race"]["groups"]["b"]
    mine = [s for s in samples if ("race", "b") in s.groups]
    scores = np.array([results[str(s.path)]["score"] for s in mine]).reshape(40, 4)
    generator = np.random.default_rng(5)
    areas = [
        roc_auc_score([0, 1, 0, 1] * 40, scores[generator.integers(0, 40, 40)].ravel())
        for _ in range(500)
    ]
    low, high = np.quantile(areas, [0.025, 0.975])
    assert group["auc_interval"] == pytest.approx((low, high), abs=0.03)
    assert low < group["auc"] < high


def test_a_planted_gap_of_the_auc_is_found_and_the_worse_group_named() -> None:
    found = fairness(*mixed_persons(1))["attributes"]["race"]
    planted = NormalDist().cdf(2 / 2**0.5) - NormalDist().cdf(0.7 / 2**0.5)
    low, high = found["auc_gap_interval"]
    assert 0 < low <= planted <= high
    assert found["auc_worst"] == "b"
