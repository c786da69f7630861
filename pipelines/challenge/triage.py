"""What challenges, the sequential test and a listener achieve together, by simulated calls.

The listener and the test err independently. The listener's own share of right decisions is given;
where the tag says otherwise, they follow it in a share `trust` of the calls. Then they are right in
a share human + trust * (machine - human).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from extractors.clip import Flags
from pipelines.challenge.compliance import BASELINE, CHALLENGES
from pipelines.challenge.sequential import TrialConfig


@dataclass(frozen=True)
class Triage:
    """Shares of simulated calls, half of them forged."""

    accused: float  # genuine callers that the test calls forged
    missed: float  # forged voices that it calls genuine
    undecided: float  # calls in which all challenges were put without a decision
    challenges: float  # mean number put, without the baseline
    machine: float  # right by the tag
    human: float  # right by the listener alone
    assisted: float  # right by the listener who knows the tag
    disagreed: float  # decided against the tag


def simulate_trials(
    config: TrialConfig, forged: Flags, rng: np.random.Generator, names: Sequence[str]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the sum (N,) at which the test of each call ends, and the number of challenges (N,).

    Outcomes are drawn by the rates of the configuration, and the detector is left out.

    Args:
        forged: (N,) whether each caller is forged.
        names: challenges in the order in which they are put.
    """
    evidence = np.zeros(len(forged))
    put = np.zeros(len(forged), dtype=np.int64)
    low, high = config.bounds
    for name in names:
        rates = config.rates_of(name)
        open_ = (evidence > low) & (evidence < high)
        complied = rng.random(len(forged)) < np.where(forged, rates.forged, rates.genuine)
        gained = np.where(complied, rates.increment(True), rates.increment(False))
        evidence += np.where(open_, gained, 0.0)
        put += open_
    return evidence, put


def assisted(
    forged: Flags, tagged: Flags, human: float, trust: float, rng: np.random.Generator
) -> tuple[Flags, Flags]:
    """Return what listeners say (N,), forged or not, by themselves and with the tag (N,).

    Args:
        forged: (N,) the truth.
        tagged: (N,) whether they are told: likely forged.
        human: share of calls in which they are right by themselves.
        trust: share of those with another tag in which they follow it.
    """
    alone = forged ^ (rng.random(len(forged)) >= human)
    return alone, np.where(rng.random(len(forged)) < trust, tagged, alone)


def simulate_triage(
    config: TrialConfig, human: float, trust: float, calls: int, seed: int = 0
) -> Triage:
    """Return what came of simulated calls, half of them forged; see the module."""
    rng = np.random.default_rng(seed)
    forged = np.arange(calls) % 2 == 1
    names = sorted(
        (name for name in CHALLENGES if name != BASELINE),
        key=lambda name: -config.rates_of(name).expected(),
    )
    evidence, put = simulate_trials(config, forged, rng, names)
    low, high = config.bounds
    tagged = evidence > config.tag
    alone, final = assisted(forged, tagged, human, trust, rng)
    return Triage(
        accused=float((evidence >= high)[~forged].mean()),
        missed=float((evidence <= low)[forged].mean()),
        undecided=float(((evidence > low) & (evidence < high)).mean()),
        challenges=float(put.mean()),
        machine=float((tagged == forged).mean()),
        human=float((alone == forged).mean()),
        assisted=float((final == forged).mean()),
        disagreed=float((final != tagged).mean()),
    )
