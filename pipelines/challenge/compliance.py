"""The challenges of a call, and detectors of whether an answer does what it was asked.

Each is a threshold on a measurement of the answer, or on its change from the caller's plain
sentence. After Mittal et al., PITCH (2024), whose challenges these are among; the detectors and
their thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.challenge.voice_measures import VoiceMeasures

BASELINE = "baseline"  # the plain sentence that comes first


@dataclass(frozen=True)
class Criterion:
    """A bound that an answer has to keep."""

    value: Callable[[VoiceMeasures, VoiceMeasures], float | None]  # of answer and baseline
    bound: float
    at_least: bool  # else at most

    def met(self, answer: VoiceMeasures, baseline: VoiceMeasures) -> bool:
        """Return whether an answer keeps the bound; what cannot be measured does not."""
        value = self.value(answer, baseline)
        if value is None:
            return False
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True)
class Challenge:
    """What a caller is asked to do, and the criteria of having done it, all of which must be met.

    `{sentence}` in the words stands for a random sentence, which a recording made before lacks.
    """

    words: str
    criteria: tuple[Criterion, ...] = ()

    def complied(self, answer: VoiceMeasures, baseline: VoiceMeasures) -> bool:
        """Return whether an answer does what was asked."""
        return all(criterion.met(answer, baseline) for criterion in self.criteria)


def _pitch_ratio(answer: VoiceMeasures, baseline: VoiceMeasures) -> float | None:
    if answer.pitch is None or baseline.pitch is None:
        return None
    return answer.pitch / baseline.pitch


def _rate_ratio(answer: VoiceMeasures, baseline: VoiceMeasures) -> float | None:
    return answer.rate / baseline.rate if baseline.rate else None


CHALLENGES = {
    BASELINE: Challenge("Say in your usual voice: {sentence}"),
    "whisper": Challenge(
        "Whisper: {sentence}",
        (Criterion(lambda a, b: a.voiced, 0.2, at_least=False),),
    ),
    "hum": Challenge(
        "Hum a tune for four seconds, with closed lips",
        (
            Criterion(lambda a, b: a.voiced, 0.8, at_least=True),
            Criterion(lambda a, b: a.centroid, 500.0, at_least=False),
            Criterion(lambda a, b: a.movement, 0.4, at_least=False),
        ),
    ),
    "pitch_up": Challenge(
        "Say in a much higher voice: {sentence}",
        (Criterion(_pitch_ratio, 1.3, at_least=True),),
    ),
    "pitch_down": Challenge(
        "Say in a much deeper voice: {sentence}",
        (Criterion(_pitch_ratio, 0.77, at_least=False),),
    ),
    "clap": Challenge(
        "Clap your hands three times, a second apart, then say: {sentence}",
        (Criterion(lambda a, b: a.onsets - b.onsets, 2, at_least=True),),
    ),
    "faster": Challenge(
        "Say as fast as you can: {sentence}",
        (Criterion(_rate_ratio, 1.3, at_least=True),),
    ),
    "slower": Challenge(
        "Say very slowly, word by word: {sentence}",
        (Criterion(_rate_ratio, 0.77, at_least=False),),
    ),
    "cup": Challenge(
        "Cover your mouth with your hand and say: {sentence}",
        (Criterion(lambda a, b: a.tilt - b.tilt, 6.0, at_least=True),),
    ),
}
