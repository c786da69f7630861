"""Forged segments: drawing them, and keeping only those with a visible or audible change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from extractors.clip import Array, Flags, Frames
from extractors.clock import SAMPLE_RATE, SAMPLES_PER_STEP, STEP_RATE
from pipelines.forge.sound.segments import HOP, active_level, insert, levels

Span = tuple[int, int]  # first and last + 1, in steps or samples
Segments = list[tuple[float, float]]  # seconds


LEAST_VISIBLE = 1.2  # mean grey levels over the pixels that changed
LEAST_AUDIBLE = 0.01  # of the speech's level: -40 dB
LEAST_STEPS = 3  # 0.12 s: shorter remainders of a forgery are dropped
SHARPEST = SAMPLE_RATE // 50  # samples: gaps up to 20 ms without change count as forged


@dataclass(frozen=True)
class SegmentConfig:
    """How much of a clip is forged, and where."""

    whole_share: float = 0.35  # share of the forgeries that span the whole clip
    max_count: int = 3  # segments in a clip
    min_seconds: float = 0.2
    max_seconds: float = 3.0


def speaking(waveform: Array, steps: int) -> Flags:
    """Return the steps (T,) with speech, by loudness; pauses under 0.2 s are filled."""
    loud = levels(waveform, SAMPLES_PER_STEP)[:steps]
    floor, top = np.quantile(loud, 0.1), np.quantile(loud, 0.95)
    threshold = max(floor + 0.15 * (top - floor), 1e-3)
    active: Flags = loud > threshold
    for start, stop in runs(~active):
        if start > 0 and stop < steps and stop - start < STEP_RATE // 5:
            active[start:stop] = True
    return np.pad(active, (0, steps - len(active)))


def runs(flags: Flags) -> Iterator[Span]:
    """Yield the maximal spans [start, stop) in which flags (T,) hold."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        yield int(start), int(stop)


def draw_spans(
    rng: np.random.Generator, within: Span, waveform: Array | None, config: SegmentConfig
) -> list[Span]:
    """Return spans of steps to forge within a span: the whole of it, or a few short segments.

    Short ones begin anywhere, at the onset of a word, or in silence, at least the shortest length
    apart.
    """
    first, last = within
    shortest = max(round(config.min_seconds * STEP_RATE), 1)
    if last - first <= shortest or rng.random() < config.whole_share:
        return [within]
    longest = max(min(round(config.max_seconds * STEP_RATE), (last - first) * 3 // 4), shortest)
    active = speaking(waveform, last) if waveform is not None else None
    spans: list[Span] = []
    for _ in range(int(rng.integers(1, config.max_count + 1))):
        # Log-uniform lengths: short segments are more frequent, as in published partial forgeries.
        length = round(float(np.exp(rng.uniform(np.log(shortest), np.log(longest)))))
        start = _draw_start(rng, first, max(last - length, first), active)
        stop = min(start + length, last)
        if all(stop + shortest <= s or e + shortest <= start for s, e in spans):
            spans.append((start, stop))
    return sorted(spans)


def _draw_start(rng: np.random.Generator, first: int, last: int, active: Flags | None) -> int:
    kind = rng.random()
    if active is not None and kind < 0.5:
        places = np.flatnonzero(active[1:] & ~active[:-1]) + 1  # a word begins
    elif active is not None and kind < 0.65:
        places = np.flatnonzero(~active)
    else:
        places = np.arange(first, last + 1)
    places = places[(places >= first) & (places <= last)]
    return int(rng.choice(places)) if len(places) else int(rng.integers(first, last + 1))


def to_samples(span: Span, waveform: Array, rng: np.random.Generator) -> Span:
    """Return a span of steps in samples, with jittered edges, as sound is not cut at frames.

    Half of the edges move to the quietest place near by, as an editor would cut.
    """
    reach = min(2 * SAMPLES_PER_STEP, (span[1] - span[0]) * SAMPLES_PER_STEP // 5)
    edges = []
    for edge in span:
        sample = edge * SAMPLES_PER_STEP
        if 0 < sample < len(waveform):
            if rng.random() < 0.5:
                near = waveform[max(sample - reach, 0) : sample + reach]
                sample = max(sample - reach, 0) + int(np.argmin(levels(near))) * HOP + HOP // 2
            else:
                sample += int(rng.integers(-reach // 2, reach // 2 + 1))
        edges.append(min(max(sample, 0), len(waveform)))
    return edges[0], edges[1]


def keep_visible(before: Frames, after: Frames, spans: list[Span]) -> tuple[Frames, list[Span]]:
    """Return frames forged only where the change is visible, and those spans."""
    kept: list[Span] = []
    for start, stop in spans:
        change = np.array([_change(before[t], after[t]) for t in range(start, stop)])
        for begin, end in runs(change > 0):
            strong = np.flatnonzero(change[begin:end] >= LEAST_VISIBLE)
            if len(strong) and strong[-1] + 1 - strong[0] >= min(LEAST_STEPS, stop - start):
                kept.append((start + begin + int(strong[0]), start + begin + int(strong[-1]) + 1))
    forged = before.copy()
    for start, stop in kept:
        forged[start:stop] = after[start:stop]
    return forged, kept


def _change(before: Frames, after: Frames) -> float:
    """Return the mean difference over the pixels that differ."""
    difference = np.abs(before.astype(np.int16) - after)
    count = int(np.count_nonzero(difference))
    return float(difference.sum()) / count if count else 0.0


def keep_audible(before: Array, after: Array, spans: list[Span]) -> tuple[Array, list[Span]]:
    """Return a waveform forged only where the change is audible, and those spans, in samples."""
    forged = before.copy()
    kept: list[Span] = []
    floor = max(LEAST_AUDIBLE * active_level(before), 2e-4)
    for start, stop in spans:
        difference = after[start:stop] - before[start:stop]
        for begin, end in _filled(np.abs(difference) > 1e-6):
            loud = np.flatnonzero(levels(difference[begin:end]) >= floor)
            if len(loud) == 0:
                continue
            left = start + begin + int(loud[0]) * HOP
            right = min(start + begin + (int(loud[-1]) + 1) * HOP, start + end)
            if right - left >= min(LEAST_STEPS * SAMPLES_PER_STEP, stop - start):
                # Already cross-faded at its own edges; a new edge gets a short fade.
                fade = 0 if (left, right) == (start, stop) else HOP // 2
                forged = insert(forged, left, right, after[left:right], fade)
                kept.append((left, right))
    return forged, kept


def _filled(changed: Flags) -> list[Span]:
    """Return the spans of changed samples, short gaps included: equal samples may be chance."""
    spans: list[Span] = []
    for start, stop in runs(changed):
        if spans and start - spans[-1][1] <= SHARPEST:
            spans[-1] = (spans[-1][0], stop)
        else:
            spans.append((start, stop))
    return spans


def in_seconds(spans: list[Span], rate: int) -> Segments:
    """Return spans of steps or samples in seconds."""
    return [(start / rate, stop / rate) for start, stop in spans]


def merge(*lists: Segments) -> Segments:
    """Return the union of segments in seconds, sorted, overlapping and touching ones joined."""
    union: Segments = []
    for start, stop in sorted(segment for segments in lists for segment in segments):
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], stop))
        else:
            union.append((start, stop))
    return union
