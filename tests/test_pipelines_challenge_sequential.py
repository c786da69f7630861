"""The sum of evidence and Wald's test against their closed forms, and by simulated streams."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest

from pipelines.challenge.compliance import BASELINE, CHALLENGES
from pipelines.challenge.sequential import Rates, TrialConfig, learned_rates, log_odds
from pipelines.challenge.triage import assisted, simulate_triage, simulate_trials

TRIED = [name for name in CHALLENGES if name != BASELINE]


def test_increments_are_log_likelihood_ratios_and_scores_add_weighted_log_odds() -> None:
    config = TrialConfig(weight=0.5, rates={"hum": Rates(genuine=0.8, forged=0.2)})
    assert config.increment("hum", True, None) == pytest.approx(-math.log(4))
    assert config.increment("hum", False, None) == pytest.approx(math.log(4))
    assert config.increment("hum", False, 0.9) == pytest.approx(math.log(4) + 0.5 * math.log(9))
    assert config.increment(BASELINE, None, 0.5) == 0
    assert log_odds(1.0) == pytest.approx(math.log(99))
    assert log_odds(0.0) == pytest.approx(-math.log(99))


def test_walds_bounds_and_what_the_sum_says_at_them() -> None:
    config = TrialConfig(alpha=0.05, beta=0.1)
    low, high = config.bounds
    assert (low, high) == pytest.approx((math.log(0.1 / 0.95), math.log(0.9 / 0.05)))
    assert [config.standing(x) for x in (low, 0.0, high)] == ["genuine", "undecided", "forged"]


@pytest.mark.parametrize(("alpha", "beta"), [(0.05, 0.05), (0.01, 0.1), (0.2, 0.05)])
def test_error_rates_of_simulated_streams_keep_walds_bounds(alpha: float, beta: float) -> None:
    """alpha' <= alpha / (1 - beta), beta' <= beta / (1 - alpha), alpha' + beta' <= alpha + beta."""
    config = TrialConfig(alpha=alpha, beta=beta, rates={"hum": Rates(0.9, 0.5)})
    forged = np.arange(20_000) % 2 == 1
    names = ["hum"] * 150  # a stream of outcomes that does not end before the test
    evidence, put = simulate_trials(config, forged, np.random.default_rng(0), names)
    low, high = config.bounds
    assert ((evidence <= low) | (evidence >= high)).all()
    accused, missed = (evidence[~forged] >= high).mean(), (evidence[forged] <= low).mean()
    error = 3 * math.sqrt(0.25 / 10_000)
    assert 0 < accused <= alpha / (1 - beta) + error
    assert 0 < missed <= beta / (1 - alpha) + error
    assert accused + missed <= alpha + beta + error
    # Wald's identity: the mean sum is the mean increment times the mean number of outcomes.
    rates = config.rates_of("hum")
    gain = 0.9 * rates.increment(True) + 0.1 * rates.increment(False)
    assert evidence[~forged].mean() == pytest.approx(gain * put[~forged].mean(), rel=0.05)


def test_the_challenge_of_the_largest_expected_increment_is_put_first() -> None:
    config = TrialConfig(rates={"cup": Rates(0.99, 0.05), "hum": Rates(0.95, 0.1)})
    assert config.choose([], Random(0)) == BASELINE
    assert config.choose([BASELINE], Random(0)) == "cup"
    assert config.choose([BASELINE, "cup"], Random(0)) == "hum"
    assert config.choose(CHALLENGES, Random(0)) is None
    assert Rates(0.5, 0.5).expected() == 0
    even = Rates(0.8, 0.2)  # either outcome has size log 4
    assert even.expected() == pytest.approx(math.log(4))


def test_equal_challenges_are_drawn_by_chance() -> None:
    draws = {TrialConfig().choose([BASELINE], Random(seed)) for seed in range(60)}
    assert draws == set(TRIED)


def test_rates_are_learned_by_laplaces_rule() -> None:
    learned = learned_rates({"hum": {False: (8, 8), True: (0, 2)}})
    assert learned["hum"] == Rates(genuine=0.9, forged=0.25)


@pytest.mark.parametrize(
    ("values", "words"),
    [({"alpha": 0.0}, "alpha and beta"), ({"alpha": 0.6, "beta": 0.5}, "sum below 1"),
     ({"rates": {"sing": Rates()}}, "no challenge is called")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrialConfig(**values)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="between 0 and 1"):
        Rates(1.0, 0.5)


def test_an_assisted_listener_lies_between_listener_and_machine_by_trust() -> None:
    """Published: listeners 72.6 %, machine 87.7 %, both 84.5 %: a trust of 0.788 tells as much."""
    rng = np.random.default_rng(0)
    forged = rng.random(200_000) < 0.5
    tagged = forged ^ (rng.random(200_000) >= 0.877)
    alone, final = assisted(forged, tagged, 0.726, 0.788, rng)
    assert (alone == forged).mean() == pytest.approx(0.726, abs=0.005)
    assert (final == forged).mean() == pytest.approx(0.845, abs=0.005)
    deaf = assisted(forged, tagged, 0.726, 0.0, rng)
    assert (deaf[0] == deaf[1]).all()
    assert (assisted(forged, tagged, 0.726, 1.0, rng)[1] == tagged).all()


def test_a_simulated_triage_is_what_its_parts_foretell() -> None:
    seen = simulate_triage(TrialConfig(), human=0.7, trust=0.5, calls=40_000)
    assert seen.assisted == pytest.approx((seen.human + seen.machine) / 2, abs=0.01)
    wrong = 0.5 * (seen.human * (1 - seen.machine) + (1 - seen.human) * seen.machine)
    assert seen.disagreed == pytest.approx(wrong, abs=0.01)
    assert seen.accused <= 0.05 / 0.95 + 0.01
    assert seen.missed <= 0.05 / 0.95 + 0.01
    assert 1 < seen.challenges < 8
    assert simulate_triage(TrialConfig(), 0.7, 0.5, 40_000) == seen
