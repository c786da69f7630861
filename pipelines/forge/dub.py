"""Forgeries of both tracks at once: sound shifted in time, and dubbing with matching lips."""

from __future__ import annotations

import numpy as np

from extractors.clip import Array, Frames
from extractors.clock import SAMPLE_RATE, SAMPLES_PER_STEP, STEP_RATE
from pipelines.forge.picture.mouth import Steps, replace_mouth, steadiest
from pipelines.forge.scene import Forged, Scene
from pipelines.forge.segments import (
    SegmentConfig,
    Span,
    draw_spans,
    in_seconds,
    keep_audible,
    keep_visible,
    to_samples,
)
from pipelines.forge.sound.segments import insert, match_level, revoice, shift_sound
from pipelines.forge.sound.world import world_available

# Both tracks forged and in sync with each other: other words, and the lips that spoke them.
DUBS = ("dubbed_own", "dubbed_donor")
MIN_LAG, MAX_LAG = 0.2, 1.0  # seconds by which shifted sound comes late or early
LATE_START = 0.25  # share of the shifts that begin within the clip


def shift(scene: Scene, rng: np.random.Generator) -> Forged:
    """Return a clip whose sound is late or early, from its beginning or from a point on.

    Sound and picture themselves are genuine. Parts without a counterpart in the other track are
    cut off, so the clip gets shorter.
    """
    waveform = scene.sound()
    seconds = float(rng.uniform(MIN_LAG, min(MAX_LAG, scene.steps / STEP_RATE / 4)))
    lag = round(seconds * SAMPLE_RATE)
    lost = -(-lag // SAMPLES_PER_STEP)  # steps, rounded up
    kept = scene.steps - lost
    late = bool(rng.random() < 0.5)
    first = 0  # sample from which on the sound is out of sync
    if rng.random() < LATE_START:
        step = int(rng.integers(kept // 4, max(kept * 3 // 4, kept // 4 + 1)))
        first = to_samples((step, kept), waveform, rng)[0]
    skipped = 0
    if first == 0 and late:  # there is no earlier sound to fill the start: the picture is cut
        skipped = lost
        begin = lost * SAMPLES_PER_STEP - lag
        sound = waveform[begin : begin + kept * SAMPLES_PER_STEP]
    else:
        shifted = shift_sound(waveform, first, len(waveform), rng, lag if late else -lag)
        sound = shifted[: kept * SAMPLES_PER_STEP]
    frames = scene.picture()[skipped : skipped + kept]
    seen = [min(max(step - skipped, 0), kept) / STEP_RATE for step in scene.seen]
    sync = [(max(first / SAMPLE_RATE, seen[0]), seen[1])]
    sync = [(start, stop) for start, stop in sync if stop > start]
    return Forged("sound_shifted", frames.copy(), sound.copy(), [], [], sync)


def dub(scene: Scene, method: str, rng: np.random.Generator, config: SegmentConfig) -> Forged:
    """Return a clip dubbed with other words and the lips that spoke them, in sync.

    The words come from another part of the clip, or from a donor, whose voice is sometimes
    converted to the speaker's. Segments without a change in both tracks are undone.
    """
    frames, landmarks = scene.face()
    waveform = scene.sound()
    source = _source(scene, method, rng)
    first = scene.seen[0]
    partial = SegmentConfig(0.0, config.max_count, config.min_seconds, config.max_seconds)
    longest = len(source[0]) // (2 if method == "dubbed_own" else 1)
    spans = [(a, min(b, a + longest)) for a, b in draw_spans(rng, scene.seen, waveform, partial)]
    converted = method == "dubbed_donor" and world_available() and rng.random() < 0.5
    strength, seed = float(rng.beta(1.3, 1.3)), int(rng.integers(2**63))
    picture, sound = scene.picture().copy(), waveform.copy()
    for start, stop in spans:
        walk = _other_words(landmarks, start - first, stop - first, source[1], method, rng)
        own = np.random.default_rng(seed)
        at = (start - first, stop - first)
        edited = replace_mouth(frames, landmarks, *at, own, walk, source[0], source[1], strength)
        picture[start:stop] = edited[at[0] : at[1]]
        begin, end = start * SAMPLES_PER_STEP, stop * SAMPLES_PER_STEP
        words = source[2][walk[0] * SAMPLES_PER_STEP :][: end - begin]
        if converted:
            words = revoice(words, 0, len(words), own, 1.0, waveform)
        words = match_level(words, waveform[begin:end], own)
        sound[begin:end] = insert(waveform, begin, end, words)[begin:end]
    return _agreed(scene, method, picture, sound, spans)


def _source(scene: Scene, method: str, rng: np.random.Generator) -> tuple[Frames, Array, Array]:
    """Return frames, landmarks and waveform of the source of the words, all of one length."""
    if method == "dubbed_own":
        frames, landmarks = scene.face()
        begin, end = (step * SAMPLES_PER_STEP for step in scene.seen)
        return frames, landmarks, scene.sound()[begin:end]
    full = [
        (d.frames, d.landmarks, d.waveform)
        for d in scene.donors
        if d.frames is not None and d.landmarks is not None and d.waveform is not None
    ]
    if not full:
        raise ValueError(f"{method} needs a donor with face and sound, got none")
    return full[int(rng.integers(len(full)))]


def _other_words(
    landmarks: Array, start: int, stop: int, source: Array, method: str, rng: np.random.Generator
) -> Steps:
    """Return consecutive steps of the source for a segment [start, stop)."""
    length = stop - start
    places = np.arange(len(source) - length + 1)
    if method == "dubbed_own":
        apart = np.abs(places - start)
        places = places[apart >= min(length, int(apart.max()))]
    walks = [int(place) + np.arange(length) for place in rng.choice(places, 6)]
    return steadiest(landmarks, start, walks, source)


def _agreed(scene: Scene, method: str, picture: Frames, sound: Array, spans: list[Span]) -> Forged:
    """Return the clip with those dubbed spans whose change is both visible and audible."""
    done: list[Span] = []
    for span in spans:
        samples = (span[0] * SAMPLES_PER_STEP, span[1] * SAMPLES_PER_STEP)
        _, seen = keep_visible(scene.picture(), picture, [span])
        _, heard = keep_audible(scene.sound(), sound, [samples])
        if seen and heard:
            done.append(span)
    frames, seen = keep_visible(scene.picture(), picture, done)
    in_samples = [(a * SAMPLES_PER_STEP, b * SAMPLES_PER_STEP) for a, b in done]
    waveform, heard = keep_audible(scene.sound(), sound, in_samples)
    visual, audio = in_seconds(seen, STEP_RATE), in_seconds(heard, SAMPLE_RATE)
    return Forged(method, frames, waveform, visual, audio, [])
