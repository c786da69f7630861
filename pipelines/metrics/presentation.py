"""Errors of presentation attack detection, after ISO/IEC 30107-3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from extractors.errors import InputError


@dataclass(frozen=True)
class PresentationErrors:
    """Shares of wrong decisions at one threshold."""

    apcer_of: dict[str, float]  # of each kind of attack, the share taken for genuine
    bpcer: float  # share of the genuine presentations taken for attacks

    @property
    def apcer(self) -> float:
        """That of the kind of attack that is missed most often."""
        return max(self.apcer_of.values())

    @property
    def acer(self) -> float:
        """The mean of APCER and BPCER."""
        return (self.apcer + self.bpcer) / 2


def presentation_errors(
    kinds: Sequence[str], scores: ArrayLike, threshold: float, genuine: str = "genuine"
) -> PresentationErrors:
    """Return the errors at a threshold, from which on a presentation is called an attack.

    Args:
        kinds: of each presentation, `genuine` or its kind of attack.
        scores: of each, higher for an attack.
        threshold: of the scores.
        genuine: the kind that is none.

    Raises:
        InputError: there are no attacks, or nothing else.
    """
    named, called = np.asarray(kinds), np.asarray(scores, dtype=float) >= threshold
    attacks = sorted(set(kinds) - {genuine})
    if not attacks or not (named == genuine).any():
        raise InputError("expected genuine presentations and attacks, got only one of both")
    missed = {kind: float((~called[named == kind]).mean()) for kind in attacks}
    return PresentationErrors(missed, float(called[named == genuine].mean()))
