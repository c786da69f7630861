"""Partial forgeries of speech, drawn while a localizer trains, and genuine edits beside them.

Any genuine recording is material: a stretch is replaced by another voice, by the same voice from
elsewhere, by synthetic speech, or by a resynthesis of the same words. Joins of recordings, as
editors make them, are no forgery; they are labelled genuine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from extractors.clip import Array, Doubles
from extractors.clock import SAMPLE_RATE, SAMPLES_PER_STEP
from pipelines.forge.segments import (
    SegmentConfig,
    Segments,
    draw_spans,
    in_seconds,
    keep_audible,
    to_samples,
)
from pipelines.forge.sound.segments import (
    insert,
    match_level,
    replace_voice,
    resynthesise,
    revoice,
    splice_voice,
    synthetic_voice,
)
from pipelines.forge.sound.text_to_speech import engines
from pipelines.forge.sound.world import world_available

SHARES = {  # how often each kind is drawn, where it can be
    "other words": 1.5,
    "other voice": 1.5,
    "synthetic": 2.0,
    "spoken": 1.0,
    "resynthesised": 2.5,
    "vocoded": 1.5,
    "changed voice": 0.5,
}


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording of speech."""

    waveform: Array  # (S,) at 16 kHz
    source: str
    person: str
    resyntheses: tuple[Array, ...] = ()  # (S',) of the same words, see `aligned`


@dataclass(frozen=True)
class SpliceConfig:
    """What is drawn."""

    genuine: float = 0.3  # share of the examples without a forged stretch
    joined: float = 0.08  # share of the examples that are joined of several recordings
    segments: SegmentConfig = field(
        default_factory=lambda: SegmentConfig(whole_share=0.0, max_count=2, max_seconds=2.5)
    )


class Splicer:
    """Draws examples: waveforms of one length, and their forged seconds."""

    def __init__(
        self,
        genuine: Sequence[Recording],
        synthetic: Sequence[Recording],
        config: SpliceConfig = SpliceConfig(),
    ) -> None:
        """Make examples of genuine recordings; stretches of synthetic ones are donors."""
        self.genuine, self.synthetic, self.config = genuine, synthetic, config
        self._weights = root_weights([r.source for r in genuine])
        self._lengths = np.array([len(r.waveform) for r in genuine])
        self._again = np.array([bool(r.resyntheses) for r in genuine])
        self._donors = root_weights([r.source for r in synthetic])
        self._persons: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for index, recording in enumerate(genuine):
            self._persons[recording.source, recording.person].append(index)
        self._edits: dict[str, Callable[..., Array | None]] = {
            "other words": self._other_words,
            "other voice": self._other_voice,
            "synthetic": self._synthetic,
            "spoken": self._spoken,
            "resynthesised": self._resynthesised,
            "vocoded": self._vocoded,
            "changed voice": self._changed,
        }

    def __call__(self, steps: int, rng: np.random.Generator) -> tuple[Array, Segments]:
        """Return a waveform (steps * 640,) and its forged seconds; () if it is genuine."""
        genuine, kind = rng.random() < self.config.genuine, draw_kind(rng)
        base, waveform = self._base(steps, rng, kind)
        for _ in range(0 if genuine else 4):
            spans = draw_spans(rng, (0, steps), waveform, self.config.segments)
            forged, places = waveform, []
            for span in spans:
                place = to_samples(span, waveform, rng)
                changed = self._edits[kind](forged, *place, rng, base)
                if changed is not None and place[1] - place[0] > SAMPLES_PER_STEP:
                    forged = changed
                    places.append(place)
            forged, places = keep_audible(waveform, forged, places)
            if places:
                return forged, in_seconds(places, SAMPLE_RATE)
            kind = draw_kind(rng)
        return waveform, []

    def _base(self, steps: int, rng: np.random.Generator, kind: str) -> tuple[Recording, Array]:
        """Return a genuine recording and a stretch of it, joined with others if it is short.

        Few are joined: to a localizer a join looks like a splice, and a second speaker like
        another voice.
        """
        length = steps * SAMPLES_PER_STEP
        base = self._drawn(length, kind, rng)
        if len(base.waveform) >= length and rng.random() >= self.config.joined:
            begin = int(rng.integers(0, len(base.waveform) - length + 1))
            cut = slice(begin, begin + length)
            again = tuple(r[cut] for r in base.resyntheses)
            stretch = base.waveform[cut]
            return Recording(stretch, base.source, base.person, again), stretch.copy()
        parts, total, other = [], 0, base
        while total < length:
            parts.append(_stretch(other.waveform, length - total, rng))
            total += len(parts[-1])
            other = self._next(other, rng)
        whole = parts[0]
        for part in parts[1:]:
            whole = join(whole, match_level(part, whole, rng, 2.0), rng)
        whole = np.pad(whole, (0, max(length - len(whole), 0)), mode="reflect")[:length]
        return Recording(whole, base.source, base.person), whole.copy()

    def _drawn(self, length: int, kind: str, rng: np.random.Generator) -> Recording:
        """Return a genuine recording that is long enough, and was resynthesised if need be."""
        weights = self._weights * (self._lengths >= length)
        if kind == "resynthesised" and (weights * self._again).any():
            weights = weights * self._again
        if not weights.any():
            weights = self._weights
        return self.genuine[int(rng.choice(len(self.genuine), p=weights / weights.sum()))]

    def _next(self, recording: Recording, rng: np.random.Generator) -> Recording:
        """Return a recording to join: of the same person, or one who answers."""
        if rng.random() < 0.6:
            return self._same(recording, rng)
        return self.genuine[int(rng.choice(len(self.genuine), p=self._weights))]

    def _same(self, recording: Recording, rng: np.random.Generator) -> Recording:
        own = self._persons.get((recording.source, recording.person), [])
        return self.genuine[int(rng.choice(own))] if own else recording

    def _other_words(
        self, x: Array, start: int, stop: int, rng: np.random.Generator, base: Recording
    ) -> Array:
        if rng.random() < 0.5:
            return splice_voice(x, start, stop, rng)
        return replace_voice(x, start, stop, rng, self._same(base, rng).waveform)

    def _other_voice(
        self, x: Array, start: int, stop: int, rng: np.random.Generator, base: Recording
    ) -> Array:
        other = self.genuine[int(rng.choice(len(self.genuine), p=self._weights))]
        return replace_voice(x, start, stop, rng, other.waveform)

    def _synthetic(
        self, x: Array, start: int, stop: int, rng: np.random.Generator, base: Recording
    ) -> Array | None:
        if not self.synthetic:
            return None
        donor = self.synthetic[int(rng.choice(len(self.synthetic), p=self._donors))]
        return replace_voice(x, start, stop, rng, donor.waveform)

    def _spoken(
        self, x: Array, start: int, stop: int, rng: np.random.Generator, base: Recording
    ) -> Array | None:
        return synthetic_voice(x, start, stop, rng) if engines() else None

    def _resynthesised(
        self, x: Array, start: int, stop: int, rng: np.random.Generator, base: Recording
    ) -> Array | None:
        if not base.resyntheses:
            return None
        made = base.resyntheses[int(rng.integers(len(base.resyntheses)))]
        stretch = match_level(made[start:stop], x[start:stop], rng, 0.4)
        fade = int(np.exp(rng.uniform(np.log(16), np.log(320))))
        return insert(x, start, stop, stretch, fade)

    def _vocoded(
        self, x: Array, start: int, stop: int, rng: np.random.Generator, base: Recording
    ) -> Array:
        return resynthesise(x, start, stop, rng, float(rng.beta(1.3, 1.3)))

    def _changed(
        self, x: Array, start: int, stop: int, rng: np.random.Generator, base: Recording
    ) -> Array | None:
        if not world_available():
            return None
        return revoice(x, start, stop, rng, float(rng.beta(1.3, 1.3)))


def draw_kind(rng: np.random.Generator) -> str:
    """Return a kind of forgery, by `SHARES`."""
    shares = np.array(list(SHARES.values()))
    return list(SHARES)[int(rng.choice(len(shares), p=shares / shares.sum()))]


def root_weights(sources: Sequence[str]) -> Doubles:
    """Return probabilities (N,) by which sources are drawn by the square root of their size."""
    names, inverse, counts = np.unique(sources, return_inverse=True, return_counts=True)
    weights = counts[inverse] ** -0.5 if len(names) else np.zeros(0)
    return np.asarray(weights / max(weights.sum(), 1e-9), np.float64)


def join(first: Array, second: Array, rng: np.random.Generator) -> Array:
    """Return two waveforms end to end: a hard cut, a cross-fade, or with a pause between them."""
    kind = rng.random()
    if kind < 0.4:
        return np.concatenate([first, second])
    if kind < 0.7:
        pause = np.zeros(int(rng.integers(400, 8000)), np.float32)
        return np.concatenate([first, pause, second])
    fade = min(int(rng.integers(160, 4800)), len(first) // 2, len(second) // 2)
    fall = np.linspace(1, 0, fade, dtype=np.float32)
    mixed = first[len(first) - fade :] * fall + second[:fade] * (1 - fall)
    return np.concatenate([first[: len(first) - fade], mixed, second[fade:]])


def _stretch(waveform: Array, length: int, rng: np.random.Generator) -> Array:
    if len(waveform) <= length:
        return waveform
    begin = int(rng.integers(0, len(waveform) - length + 1))
    return waveform[begin : begin + length]
