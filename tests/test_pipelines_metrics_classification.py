import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from pipelines.metrics.classification import (
    auc,
    average_precision,
    balanced_accuracy,
    bootstrap_interval,
    brier,
    chance_calibration_error,
    eer,
    expected_calibration_error,
    nll,
    roc_curve,
    tpr_at_fpr,
)

Array = NDArray[np.float64]

E1 = ([0, 0, 0, 1, 1], [0.1, 0.4, 0.6, 0.5, 0.9])
E2 = ([0, 0, 0, 0, 1, 1, 1], [0.1, 0.3, 0.55, 0.7, 0.2, 0.6, 0.8])


def random_clips(seed: int) -> tuple[Array, Array]:
    """Labels and scores, with many equal scores in every second case."""
    generator = np.random.default_rng(seed)
    labels = np.append(generator.integers(0, 2, generator.integers(1, 80)), [0, 1]).astype(float)
    scores = (generator.random(len(labels)) + 0.3 * labels) / 1.3
    return labels, scores.round(1) if seed % 2 else scores


@pytest.mark.parametrize("seed", range(30))
def test_curve_areas_and_losses_agree_with_scikit_learn(seed: int) -> None:
    labels, scores = random_clips(seed)
    assert auc(labels, scores) == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores))
    expected = sklearn_metrics.average_precision_score(labels, scores)
    assert average_precision(labels, scores) == pytest.approx(expected)
    alarm, hit, _ = sklearn_metrics.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc_curve(labels, scores), (alarm, hit))
    assert brier(labels, scores) == pytest.approx(sklearn_metrics.brier_score_loss(labels, scores))
    inner = scores.clip(0.01, 0.99)
    assert nll(labels, inner) == pytest.approx(sklearn_metrics.log_loss(labels, inner))
    expected = sklearn_metrics.balanced_accuracy_score(labels, scores >= 0.5)
    assert balanced_accuracy(labels, scores) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(30))
def test_deepfakebench_eer_is_the_one_computed_from_scikit_learns_curve(seed: int) -> None:
    labels, scores = random_clips(seed)
    alarm, hit, _ = sklearn_metrics.roc_curve(labels, scores)
    expected = alarm[np.nanargmin(np.abs((1 - hit) - alarm))]
    assert eer(labels, scores, "deepfakebench") == pytest.approx(expected)


def test_golden_values_of_every_eer_variant() -> None:
    assert eer(*E1, "deepfakebench") == pytest.approx(1 / 3)
    assert eer(*E1, "asvspoof") == pytest.approx(5 / 12)
    assert eer(*E1, "deepsafe") == pytest.approx(1 / 3)
    assert eer(*E1) == pytest.approx(0.2)  # (0, 1/2) to (1/3, 1) meets 1 - x
    assert auc(*E1) == pytest.approx(5 / 6)
    assert average_precision(*E1) == pytest.approx(5 / 6)
    assert eer(*E2, "deepfakebench") == pytest.approx(1 / 4)
    assert eer(*E2, "asvspoof") == pytest.approx(7 / 24)
    assert eer(*E2, "deepsafe") == pytest.approx(1 / 3)
    assert eer(*E2) == pytest.approx(0.3)  # (1/4, 2/3) to (3/4, 1) meets 1 - x
    assert auc(*E2) == pytest.approx(2 / 3)
    assert average_precision(*E2) == pytest.approx(0.722222, abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_hull_eer_is_the_least_that_two_thresholds_by_chance_reach(seed: int) -> None:
    labels, scores = random_clips(seed)
    alarm, hit = roc_curve(labels, scores)
    best = 1.0
    for i in range(len(alarm)):
        for j in range(len(alarm)):
            gaps = (1 - hit - alarm)[[i, j]]
            share = gaps[0] / (gaps[0] - gaps[1]) if gaps[0] != gaps[1] else 0.0
            if 0 <= share <= 1 and abs(gaps[0] + share * (gaps[1] - gaps[0])) < 1e-9:
                best = min(best, alarm[i] + share * (alarm[j] - alarm[i]))
    assert eer(labels, scores) == pytest.approx(best, abs=1e-9)


def test_perfect_inverted_and_constant_scores() -> None:
    labels = [0, 0, 1, 1, 1]
    for scores, error, area in [
        ([0.1, 0.2, 0.7, 0.8, 0.9], 0.0, 1.0),
        ([0.9, 0.8, 0.3, 0.2, 0.1], 0.5, 0.0),  # the hull is the diagonal: guess, rather
        ([0.5] * 5, 0.5, 0.5),
    ]:
        assert eer(labels, scores) == pytest.approx(error)
        assert auc(labels, scores) == area
    assert eer(labels, [0.9, 0.8, 0.3, 0.2, 0.1], "deepsafe") == 1.0


def test_tpr_at_fpr_allows_no_more_false_alarms_than_asked() -> None:
    labels = [0] * 10 + [1] * 4
    scores = [*np.linspace(0, 0.9, 10), 0.95, 0.85, 0.85, 0.05]
    assert tpr_at_fpr(labels, scores, 0.0) == 0.25
    assert tpr_at_fpr(labels, scores, 0.09) == 0.25
    assert tpr_at_fpr(labels, scores, 0.1) == 0.75
    assert tpr_at_fpr(labels, scores, 1.0) == 1.0


def test_calibration_error_of_known_bins() -> None:
    # Two bins: 0.2 three times with one fake, 0.9 twice with two fakes.
    labels, scores = [0, 0, 1, 1, 1], [0.2, 0.2, 0.2, 0.9, 0.9]
    expected = 3 / 5 * abs(1 / 3 - 0.2) + 2 / 5 * abs(1 - 0.9)
    assert expected_calibration_error(labels, scores) == pytest.approx(expected)
    # In one bin the errors of real and fake clips cancel; probability 1 is a bin of its own.
    assert expected_calibration_error([0, 1], [0.4, 0.6], bins=1) == pytest.approx(0)
    assert expected_calibration_error([0, 1, 0], [0.4, 0.6, 1], bins=1) == pytest.approx(1 / 3)
    generator = np.random.default_rng(0)
    honest = generator.random(100_000)
    assert expected_calibration_error(generator.random(100_000) < honest, honest) < 0.01


def test_right_probabilities_show_an_error_that_falls_with_the_root_of_the_clips() -> None:
    # one bin of n clips at P = 0.5: E|share - 0.5| = sqrt(2 / pi) * 0.5 / sqrt(n) for many
    for count in (100, 2500):
        mean, (low, high) = chance_calibration_error(np.full(count, 0.5))
        assert mean == pytest.approx(np.sqrt(2 / np.pi) * 0.5 / np.sqrt(count), rel=0.1)
        assert low < mean < high


def test_certain_probabilities_that_are_right_show_no_error() -> None:
    assert chance_calibration_error([0.0, 1.0, 1.0], draws=20) == (0.0, (0.0, 0.0))


def test_a_certain_mistake_costs_a_bounded_likelihood() -> None:
    assert nll([1, 0], [0.0, 0.0]) == pytest.approx(-np.log(1e-7) / 2)


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    truth, covered = 0.760250, 0  # two normal distributions, one standard deviation apart
    for seed in range(60):
        labels = np.repeat([0, 1], 40)
        low, high = bootstrap_interval(
            auc, labels, generator.normal(labels, 1), draws=150, seed=seed
        )
        covered += low <= truth <= high
    assert 51 <= covered <= 60  # 57 expected


def test_bootstrap_draws_keep_both_classes_and_repeat_with_the_seed() -> None:
    labels, scores = [0] * 30 + [1], np.linspace(0, 1, 31)

    def fakes(labels: Array, scores: Array) -> float:
        return float(labels.sum())

    assert bootstrap_interval(fakes, labels, scores, draws=50) == (1, 1)
    first, again, other = (
        bootstrap_interval(brier, *E2, draws=99, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_unusable_input_is_an_error_that_says_what_came() -> None:
    with pytest.raises(ValueError, match="1 NaN"):
        auc([0, 1], [0.5, np.nan])
    with pytest.raises(ValueError, match="2 of label 1"):
        auc([1, 1], [0.5, 0.6])
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\)"):
        brier([0, 1], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="labels 0"):
        auc([0, 2], [0.1, 0.2])
    with pytest.raises(ValueError, match="-1 to 3"):
        brier([0, 1], [-1, 3])
    with pytest.raises(ValueError, match="'mean'"):
        eer(*E1, "mean")  # type: ignore[arg-type]
