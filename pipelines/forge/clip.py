"""The forging of one clip by a named method, with the exact forged seconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from extractors.clip import Array, Frames
from extractors.clock import SAMPLE_RATE, STEP_RATE
from extractors.faces import FaceTrack
from extractors.media import Clip
from pipelines.forge.dub import DUBS, dub, shift
from pipelines.forge.methods import PICTURE, SOUND
from pipelines.forge.scene import Donor, Forged, Scene, make_scene
from pipelines.forge.segments import (
    SegmentConfig,
    Segments,
    Span,
    draw_spans,
    in_seconds,
    keep_audible,
    keep_visible,
    merge,
    to_samples,
)


def forge_clip(
    clip: Clip,
    track: FaceTrack | None,
    donors: Sequence[Donor],
    method: str,
    rng: np.random.Generator,
    config: SegmentConfig = SegmentConfig(),
) -> Forged:
    """Return the clip forged by a method of `possible_methods`, or unchanged by "none".

    Segments without a visible or audible change are undone and not labelled; `periods` may be
    empty.
    """
    if method == "none":
        return Forged(method, clip.frames, clip.waveform, [], [], [])
    scene = make_scene(clip, track, donors)
    if method == "sound_shifted":
        return shift(scene, rng)
    if method in DUBS:
        return dub(scene, method, rng, config)
    picture, sound = _parts(method)
    strength = float(rng.beta(1.3, 1.3))  # from subtle (0) to obvious (1), mostly in between
    face_only = picture is not None and PICTURE[picture].face
    within = scene.seen if face_only else (0, scene.steps)
    spans = draw_spans(rng, within, scene.waveform, config)
    frames, waveform = scene.frames, scene.waveform
    visual: Segments = []
    audio: Segments = []
    sync: Segments = []
    if picture is not None:
        frames, seen = _edit_frames(scene, picture, spans, rng, strength)
        visual = in_seconds(seen, STEP_RATE)
        if PICTURE[picture].breaks_sync:
            sync += in_seconds([span for span in seen if scene.speaks(span)], STEP_RATE)
    if sound is not None:
        if picture is not None and rng.random() < 0.5:
            spans = _moved(spans, scene.steps, rng)
        waveform, heard = _edit_sound(scene, sound, spans, rng, strength)
        audio = in_seconds(heard, SAMPLE_RATE)
        if SOUND[sound].breaks_sync:
            sync += audio
    return Forged(method, frames, waveform, visual, audio, _where_lips_are(scene, merge(sync)))


def _parts(method: str) -> tuple[str | None, str | None]:
    """Return a method's picture part and sound part; None where it has no such part."""
    names = method.split("+")
    picture = names[0] if names[0] in PICTURE else None
    sound = names[-1] if names[-1] in SOUND else None
    if [name for name in (picture, sound) if name] != names:
        known = ", ".join(["none", "sound_shifted", *DUBS, *PICTURE, *SOUND])
        raise ValueError(f"expected a forgery among {known}, or picture+sound, got {method!r}")
    return picture, sound


def _edit_frames(
    scene: Scene, name: str, spans: list[Span], rng: np.random.Generator, strength: float
) -> tuple[Frames, list[Span]]:
    """Return frames forged in spans of steps, and the spans in which the change is visible."""
    before = scene.picture()
    method = PICTURE[name]
    offset = scene.seen[0] if method.face else 0
    seed = int(rng.integers(2**63))
    forged = before.copy()
    for start, stop in spans:
        # The same tool with the same settings for all of a clip's segments.
        own = np.random.default_rng(seed)
        edited = method.edit(scene, start - offset, stop - offset, own, strength)
        forged[start:stop] = edited[start - offset : stop - offset]
    return keep_visible(before, forged, spans)


def _edit_sound(
    scene: Scene, name: str, spans: list[Span], rng: np.random.Generator, strength: float
) -> tuple[Array, list[Span]]:
    """Return a waveform forged in spans of steps, and the spans of samples with audible change."""
    before = scene.sound()
    seed = int(rng.integers(2**63))
    forged = before.copy()
    places = [to_samples(span, before, rng) for span in spans]
    for start, stop in places:
        edited = SOUND[name].edit(scene, start, stop, np.random.default_rng(seed), strength)
        forged[start:stop] = edited[start:stop]
    return keep_audible(before, forged, places)


def _moved(spans: list[Span], steps: int, rng: np.random.Generator) -> list[Span]:
    """Return spans shifted by up to a third of the shortest, so that tracks only overlap."""
    reach = min(stop - start for start, stop in spans) // 3
    shift = int(rng.integers(-reach, reach + 1))
    return [(max(start + shift, 0), min(stop + shift, steps)) for start, stop in spans]


def _where_lips_are(scene: Scene, segments: Segments) -> Segments:
    """Return the parts of segments in which the face is in the picture."""
    first, last = (step / STEP_RATE for step in scene.seen)
    cut = [(max(start, first), min(stop, last)) for start, stop in segments]
    return [(start, stop) for start, stop in cut if stop > start]
