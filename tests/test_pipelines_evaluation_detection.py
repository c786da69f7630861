"""Detection metrics of samples: every file counts, and every generator counts the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.data.samples import WHOLE, Sample
from pipelines.evaluation.detection import METRICS, detection_metrics
from pipelines.metrics.classification import reliability_curve


def sample(name: str, method: str) -> Sample:
    spans = () if method == "real" else WHOLE
    return Sample(Path(name), "dev", method, "lab", name, spans, None, None)


def corpus(
    fakes: dict[str, list[float | None]],
) -> tuple[list[Sample], dict[str, dict[str, float]]]:
    samples, results = [], {}
    for method, scores in {"real": [0.1, 0.2, 0.3, 0.4], **fakes}.items():
        for i, score in enumerate(scores):
            samples.append(sample(f"{method}{i}.mp4", method))
            if score is not None:
                results[f"{method}{i}.mp4"] = {"score": score}
    return samples, results


def test_each_generator_counts_the_same_and_the_worst_is_named() -> None:
    fakes = {"easy": [0.9] * 6, "hard": [0.15, 0.25, 0.35], "rare": [0.0]}
    row = detection_metrics(*corpus(fakes))["score"]
    assert row["auc"] == pytest.approx((6 * 4 + 1 + 2 + 3) / 40)
    assert row["generators_auc"] == pytest.approx((1 + 0.5) / 2)  # rare is too few to tell
    assert list(row["by_generator"]) == ["hard", "easy", "rare"]
    assert row["worst_generator"] == "hard"
    low, high = row["generators_auc_interval"]
    assert 0.5 <= low < 0.75 < high <= 1.0


def test_a_failed_file_counts_half_in_every_imputed_metric() -> None:
    row = detection_metrics(*corpus({"a": [0.9, 0.8, None]}))["score"]
    assert (row["given"], row["scored"], row["auc"]) == (7, 6, 1.0)
    assert row["brier"] == pytest.approx((0.01 + 0.04 + 0.09 + 0.16 + 0.01 + 0.04) / 6)
    assert row["brier_failures_as_half"] == pytest.approx((0.35 + 0.25) / 7)
    assert row["tpr_at_fpr_1"] == row["tpr_at_fpr_5"] == row["ap"] == 1.0
    assert set(row["eer_variants"]) == {"deepfakebench", "asvspoof", "deepsafe"}


def test_reliability_curve_of_known_bins() -> None:
    labels, scores = [0, 0, 1, 1, 1], [0.2, 0.2, 0.2, 0.9, 0.9]
    mean, share, count = reliability_curve(labels, scores, bins=10)
    assert mean == pytest.approx([0.2, 0.9])
    assert share == pytest.approx([1 / 3, 1.0])
    assert count.tolist() == [3, 2]


def test_each_quality_is_compared_with_its_own_genuine_clips() -> None:
    samples, results = [], {}
    for level, shift in (("c23", 0.0), ("c40", 0.4)):
        for i in range(8):
            path = Path(f"{level}/{i}.mp4")
            fake = i >= 4
            samples.append(
                Sample(path, "dev", "a" if fake else "real", "lab", f"{i}",
                       WHOLE if fake else (), None, None, groups=(("quality", level),))
            )  # fmt: skip
            results[str(path)] = {"score": 0.1 * (i % 4) + shift + 0.25 * fake}
    samples.append(sample("x.mp4", "real"))  # of no known quality
    results["x.mp4"] = {"score": 0.0}
    samples.append(
        Sample(Path("y.mp4"), "dev", "real", "lab", "y", (), None, None, None,
               groups=(("quality", "raw"),))
    )  # fmt: skip
    results["y.mp4"] = {"score": 0.0}
    row = detection_metrics(samples, results)["score"]
    assert list(row["by_quality"]) == ["c23", "c40", "raw"]
    for level in ("c23", "c40"):
        assert row["by_quality"][level]["auc"] == pytest.approx(15 / 16)
        low, high = row["by_quality"][level]["auc_interval"]
        assert low < 15 / 16 <= high
    assert row["auc"] < 15 / 16  # the shift between qualities confuses all together
    assert row["by_quality"]["raw"] == {"fakes": 0, "reals": 1}
    assert "by_quality" not in detection_metrics([sample("x.mp4", "real")], results)["score"]


def test_every_metric_has_an_interval_that_holds_it() -> None:
    row = detection_metrics(*corpus({"a": [0.9, 0.35, 0.5, 0.15, 0.8]}))["score"]
    for name in METRICS:
        low, high = row[f"{name}_interval"]
        assert low <= row[name] <= high, name
