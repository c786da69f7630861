"""The evidence of answers added up, and Wald's sequential test on the sum.

The sum is Σ log p(outcome | forged) / p(outcome | genuine) + weight * Σ log odds of the detector;
above 0 it speaks for a forged voice. Answers count as independent, so their order does not matter.

Sources: Wald, Annals of Mathematical Statistics 1945; Mittal et al., PITCH, 2024.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from pipelines.challenge.compliance import BASELINE, CHALLENGES

Standing = Literal["genuine", "forged", "undecided"]
CERTAIN = 0.01  # how near to 0 and 1 a score of the detector is believed


@dataclass(frozen=True)
class Rates:
    """How often answers to a challenge comply. The defaults are assumed, not measured."""

    genuine: float = 0.9  # share of genuine callers
    forged: float = 0.5  # share of forged voices

    def __post_init__(self) -> None:
        if not (0 < self.genuine < 1 and 0 < self.forged < 1):
            raise ValueError("rates must lie between 0 and 1, both excluded")

    def increment(self, complied: bool) -> float:
        """Return the log likelihood ratio of an outcome."""
        if complied:
            return math.log(self.forged / self.genuine)
        return math.log((1 - self.forged) / (1 - self.genuine))

    def expected(self) -> float:
        """Return the expected size of the increment where both kinds of caller are as likely."""
        met = (self.genuine + self.forged) / 2
        return met * abs(self.increment(True)) + (1 - met) * abs(self.increment(False))


@dataclass(frozen=True)
class TrialConfig:
    """How the answers of a call are weighed, and when it ends."""

    alpha: float = 0.05  # share of genuine callers that may be called forged
    beta: float = 0.05  # share of forged voices that may be called genuine
    # Of the detector's log odds. All answers are of one voice, of which it has one opinion: with
    # this weight that of the eight challenges together counts once.
    weight: float = 0.125
    tag: float = 0.0  # sum above which a listener is told: likely forged
    seconds: float = 120.0  # after which a challenge can no longer be answered
    rates: dict[str, Rates] = field(default_factory=dict)  # of challenges, where known

    def __post_init__(self) -> None:
        if not (0 < self.alpha < 1 and 0 < self.beta < 1 and self.alpha + self.beta < 1):
            raise ValueError("alpha and beta must lie above 0, and their sum below 1")
        unknown = [name for name in self.rates if name not in CHALLENGES or name == BASELINE]
        if unknown:
            raise ValueError(f"no challenge is called {unknown}; known: {list(CHALLENGES)[1:]}")

    def rates_of(self, challenge: str) -> Rates:
        """Return the rates of a challenge, the assumed ones where none are known."""
        return self.rates.get(challenge, Rates())

    @property
    def bounds(self) -> tuple[float, float]:
        """Wald's bounds of the sum, at or below which a caller is genuine, at or above forged."""
        return (
            math.log(self.beta / (1 - self.alpha)),
            math.log((1 - self.beta) / self.alpha),
        )

    def standing(self, evidence: float) -> Standing:
        """Return what the sum so far says."""
        low, high = self.bounds
        return "genuine" if evidence <= low else "forged" if evidence >= high else "undecided"

    def increment(self, challenge: str, complied: bool | None, score: float | None) -> float:
        """Return what an answer adds to the sum.

        Args:
            challenge: a key of `CHALLENGES`.
            complied: whether the answer does what was asked; None: that says nothing.
            score: the detector's probability that the voice is forged; None: not judged.
        """
        added = 0.0 if complied is None else self.rates_of(challenge).increment(complied)
        return added if score is None else added + self.weight * log_odds(score)

    def choose(self, used: Iterable[str], draw: Random) -> str | None:
        """Return the unused challenge of largest expected increment, a random one of equal ones.

        The baseline is the first, since others are compared with it. None: all were used.
        """
        past = set(used)
        if BASELINE not in past:
            return BASELINE
        left = {name: self.rates_of(name).expected() for name in CHALLENGES if name not in past}
        best = [name for name, gain in left.items() if gain >= max(left.values()) - 1e-12]
        return draw.choice(best) if best else None


def log_odds(score: float) -> float:
    """Return the log odds of a score, which is believed up to 0.01 from either end."""
    score = min(max(score, CERTAIN), 1 - CERTAIN)
    return math.log(score / (1 - score))


def learned_rates(counts: Mapping[str, Mapping[bool, tuple[int, int]]]) -> dict[str, Rates]:
    """Return the rates of challenges by counted answers of calls whose truth is known.

    Laplace's rule, (complied + 1) / (answered + 2), so that few answers say little.

    counts: of each challenge, for genuine (False) and forged (True) callers, the answers that
        complied and all of them.
    """
    rates = {}
    for name, of in counts.items():
        genuine, forged = ((met + 1) / (asked + 2) for met, asked in (of[False], of[True]))
        rates[name] = Rates(genuine, forged)
    return rates
