"""A call from its first challenge to a human's decision, and the file that it is kept in.

Each challenge has a nonce, which serves once and for a limited time, and a random sentence made of
it: a recording made before has other words, and one that was sent before is refused. Whether the
words are those asked for is for the listener: no speech is recognised.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, Literal

import numpy as np

from extractors.errors import InputError
from pipelines.challenge.compliance import BASELINE, CHALLENGES
from pipelines.challenge.sequential import Rates, Standing, TrialConfig, learned_rates
from pipelines.challenge.voice_measures import VoiceMeasures
from pipelines.config import ConfigError, from_dict, to_dict
from pipelines.forge.sound.text_to_speech import draw_sentence
from pipelines.storage.files import write_whole

FORMAT = "avdetect call 1"
Human = Literal["genuine", "forged"]


@dataclass(frozen=True)
class Answer:
    """What came of a challenge."""

    sha256: str  # of the recording
    measured: VoiceMeasures
    complied: bool | None  # None: of the baseline
    score: float | None  # the detector's, that the voice is forged; None: not judged
    increment: float  # of the sum


@dataclass(frozen=True)
class Asked:
    """A challenge that was put to the caller."""

    challenge: str  # a key of `CHALLENGES`
    nonce: str  # 16 hexadecimal digits
    words: str  # what the caller is asked to do
    at: float  # seconds since 1970
    answer: Answer | None = None


@dataclass(frozen=True)
class Call:
    """The challenges of a call, their answers, and what a human made of them."""

    config: TrialConfig = field(default_factory=TrialConfig)
    asked: tuple[Asked, ...] = ()
    human: Human | None = None  # the decision of whoever listened

    @property
    def answers(self) -> list[tuple[str, Answer]]:
        """Each answered challenge and its answer."""
        return [(a.challenge, a.answer) for a in self.asked if a.answer is not None]

    @property
    def evidence(self) -> float:
        """The sum of what the answers say; above 0: the voice is rather forged."""
        return math.fsum(answer.increment for _, answer in self.answers)

    @property
    def standing(self) -> Standing:
        """What the sequential test says so far."""
        return self.config.standing(self.evidence)

    @property
    def tagged(self) -> bool:
        """Whether a listener is to be told that the voice is likely forged."""
        return self.evidence > self.config.tag

    @property
    def disagreed(self) -> bool:
        """Whether the human decided against the tag."""
        return self.human is not None and (self.human == "forged") != self.tagged

    def ask(self, now: float, draw: Random = SystemRandom()) -> tuple[Call, Asked]:
        """Return the call with one more challenge, and that challenge.

        Raises:
            InputError: the call is decided, or all challenges were put.
        """
        if self.standing != "undecided":
            raise InputError(f"the call is decided: {self.standing}")
        # One that was left unanswered is not put again, or a caller could wait for an easy one.
        used = {a.challenge for a in self.asked if a.answer or a.challenge != BASELINE}
        name = self.config.choose(used, draw)
        if name is None:
            raise InputError("all challenges were put; the decision is the listener's")
        nonce = f"{draw.getrandbits(64):016x}"
        sentence = draw_sentence(np.random.default_rng(int(nonce, 16)))
        asked = Asked(name, nonce, CHALLENGES[name].words.format(sentence=sentence), now)
        return replace(self, asked=(*self.asked, asked)), asked

    def open_challenge(self, nonce: str, sha256: str, now: float) -> Asked:
        """Return the challenge of a nonce, if a recording may still answer it.

        Raises:
            InputError: the nonce is unknown, used, replaced or too old, or the recording answered
                another one.
        """
        found = next((a for a in self.asked if a.nonce == nonce), None)
        if found is None:
            raise InputError(f"nonce {nonce} is of no challenge of this call")
        if found.answer is not None:
            raise InputError(f"nonce {nonce} was used: a challenge is answered once")
        if found is not self.asked[-1]:
            raise InputError(f"nonce {nonce} was replaced by that of a later challenge")
        if now - found.at > self.config.seconds:
            raise InputError(
                f"nonce {nonce} is {now - found.at:.0f} s old, and a challenge is to be answered "
                f"within {self.config.seconds:g} s: ask again"
            )
        if any(answer.sha256 == sha256 for _, answer in self.answers):
            raise InputError("this recording answered an earlier challenge of the call")
        return found

    def answered(
        self, asked: Asked, sha256: str, measures: VoiceMeasures, score: float | None
    ) -> Call:
        """Return the call with the answer to a challenge of `open_challenge`.

        Raises:
            InputError: there is no answered baseline to compare it with.
        """
        complied = None
        if asked.challenge != BASELINE:
            baseline = dict(self.answers).get(BASELINE)
            if baseline is None:
                raise InputError("the call has no plain sentence to compare an answer with")
            complied = CHALLENGES[asked.challenge].complied(measures, baseline.measured)
        gained = self.config.increment(asked.challenge, complied, score)
        answer = Answer(sha256, measures, complied, score, gained)
        done = tuple(replace(a, answer=answer) if a is asked else a for a in self.asked)
        return replace(self, asked=done)


def to_plain(call: Call) -> dict[str, Any]:
    """Return a call as plain values, with what follows from them, ready for JSON."""
    return {
        "format": FORMAT, **to_dict(call), "evidence": call.evidence,
        "standing": call.standing, "tagged": call.tagged, "disagreed": call.disagreed,
    }  # fmt: skip


def write_call(path: Path, call: Call) -> None:
    """Write a call to its file, whole or not at all."""
    write_whole(path, json.dumps(to_plain(call), indent=1, allow_nan=False).encode())


def read_call(path: Path) -> Call:
    """Return the call in a file.

    Raises:
        InputError: the file holds no call.
        FileNotFoundError: there is none.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise InputError(f"{path}: holds no call of avdetect")
        for derived in ("evidence", "standing", "tagged", "disagreed"):
            data.pop(derived, None)
        return from_dict(Call, data, str(path))
    except (ConfigError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: holds no call of avdetect ({error})") from error


def rates_from(genuine: Sequence[Call], forged: Sequence[Call]) -> dict[str, Rates]:
    """Return the rates of the challenges that callers of either kind answered."""
    counts: dict[str, dict[bool, tuple[int, int]]] = {}
    for is_forged, calls in ((False, genuine), (True, forged)):
        for name, answer in (pair for call in calls for pair in call.answers):
            if answer.complied is None:
                continue
            of = counts.setdefault(name, {False: (0, 0), True: (0, 0)})
            met, asked = of[is_forged]
            of[is_forged] = met + answer.complied, asked + 1
    return learned_rates(counts)
