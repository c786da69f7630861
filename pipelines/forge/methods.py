"""The table of forgeries: how each edits a scene, what it needs, and whether it breaks sync."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from extractors.clip import Array, Frames
from extractors.clock import STEP_RATE
from pipelines.forge.picture.face import rebuild_face, resample_face, self_blend, swap_face
from pipelines.forge.picture.mouth import (
    RETIMINGS,
    draw_frozen,
    draw_retiming,
    retime_mouth,
    steadiest,
)
from pipelines.forge.picture.timing import interpolate_frames, repeat_frames, splice_frames
from pipelines.forge.scene import Scene
from pipelines.forge.sound.segments import (
    replace_voice,
    resynthesise,
    revoice,
    splice_voice,
    synthetic_voice,
)
from pipelines.forge.sound.text_to_speech import ENGINES, engines
from pipelines.forge.sound.world import world_available

MIN_SHIFTED = 2 * STEP_RATE  # steps that a clip needs, since shifting may cut off a quarter


@dataclass(frozen=True)
class PictureMethod:
    """A forgery of frames.

    edit: scene, start, stop, generator, strength -> forged frames; steps count from the first
    frame with the face, or from the clip's first if no face is needed.
    """

    edit: Callable[[Scene, int, int, np.random.Generator, float], Frames]
    face: bool = True
    donor: bool = False
    breaks_sync: bool = False


@dataclass(frozen=True)
class SoundMethod:
    """A forgery of sound. edit: scene, start, stop in samples, generator, strength -> waveform."""

    edit: Callable[[Scene, int, int, np.random.Generator, float], Array]
    donor: bool = False
    breaks_sync: bool = False


def _swap(s: Scene, start: int, stop: int, rng: np.random.Generator, strength: float) -> Frames:
    return swap_face(*s.face(), start, stop, rng, *s.donor_face(rng), strength)


def _retime(s: Scene, start: int, stop: int, rng: np.random.Generator, strength: float) -> Frames:
    frames, landmarks = s.face()
    kinds = rng.choice(RETIMINGS, 4)
    walks = [draw_retiming(str(kind), len(frames), start, stop, rng) for kind in kinds]
    walk = steadiest(landmarks, start, walks)
    return retime_mouth(frames, landmarks, start, stop, rng, walk, strength)


def _freeze(s: Scene, start: int, stop: int, rng: np.random.Generator, strength: float) -> Frames:
    frames, landmarks = s.face()
    walk = steadiest(landmarks, start, [draw_frozen(landmarks, start, stop, rng) for _ in range(4)])
    return retime_mouth(frames, landmarks, start, stop, rng, walk, strength)


PICTURE = {
    "self_blend": PictureMethod(lambda s, a, b, rng, x: self_blend(*s.face(), a, b, rng, x)),
    "face_swap": PictureMethod(_swap, donor=True),
    "face_rebuilt": PictureMethod(lambda s, a, b, rng, x: rebuild_face(*s.face(), a, b, rng, x)),
    "face_resampled": PictureMethod(lambda s, a, b, rng, x: resample_face(*s.face(), a, b, rng, x)),
    "mouth_retimed": PictureMethod(_retime, breaks_sync=True),
    "mouth_frozen": PictureMethod(_freeze, breaks_sync=True),
    "frames_repeated": PictureMethod(
        lambda s, a, b, rng, x: repeat_frames(s.picture(), a, b, rng, x), face=False
    ),
    "frames_interpolated": PictureMethod(
        lambda s, a, b, rng, x: interpolate_frames(s.picture(), a, b, rng, x), face=False
    ),
    "picture_spliced": PictureMethod(
        lambda s, a, b, rng, x: splice_frames(s.picture(), a, b, rng), face=False, breaks_sync=True
    ),
}
SOUND = {
    "voice_spliced": SoundMethod(
        lambda s, a, b, rng, x: splice_voice(s.sound(), a, b, rng), breaks_sync=True
    ),
    "voice_replaced": SoundMethod(
        lambda s, a, b, rng, x: replace_voice(s.sound(), a, b, rng, s.donor_voice(rng)),
        donor=True,
        breaks_sync=True,
    ),
    "voice_synthetic": SoundMethod(
        lambda s, a, b, rng, x: synthetic_voice(s.sound(), a, b, rng), breaks_sync=True
    ),
    "voice_resynthesised": SoundMethod(
        lambda s, a, b, rng, x: resynthesise(s.sound(), a, b, rng, x)
    ),
    "voice_changed": SoundMethod(lambda s, a, b, rng, x: revoice(s.sound(), a, b, rng, x)),
    "voice_converted": SoundMethod(
        lambda s, a, b, rng, x: revoice(s.sound(), a, b, rng, x, s.donor_voice(rng)), donor=True
    ),
}
WORLD_METHODS = ("voice_changed", "voice_converted")
# Both tracks forged and in sync with each other: other words, the lips that spoke them.
DUBS = ("dubbed_own", "dubbed_donor")
# How often each is chosen; a pair is as frequent as the product of its parts.
WEIGHTS = {
    "self_blend": 3.0,
    "face_swap": 3.0,
    "face_rebuilt": 2.0,
    "face_resampled": 1.5,
    "mouth_retimed": 3.0,
    "mouth_frozen": 0.7,
    "frames_repeated": 0.3,
    "frames_interpolated": 0.5,
    "picture_spliced": 0.5,
    "voice_spliced": 1.0,
    "voice_replaced": 1.5,
    "voice_synthetic": 2.0,
    "voice_resynthesised": 3.0,
    "voice_changed": 1.0,
    "voice_converted": 1.5,
}


def absent_methods() -> dict[str, str]:
    """Return the methods that this machine lacks a tool for, each with the reason."""
    absent = {} if world_available() else dict.fromkeys(WORLD_METHODS, "pyworld is not installed")
    if not engines():
        absent["voice_synthetic"] = f"none of {' and '.join(ENGINES)} is on PATH"
    return absent


def possible_methods(scene: Scene) -> list[str]:
    """Return the names of the methods that a scene's tracks, its donors and this machine allow.

    Picture and sound methods also go together, as "face_swap+voice_replaced".
    """
    face, sound = scene.landmarks is not None, scene.waveform is not None
    donor_face = any(d.landmarks is not None for d in scene.donors)
    donor_voice = any(d.waveform is not None for d in scene.donors)
    pictures = [
        name
        for name, method in PICTURE.items()
        if scene.frames is not None
        and (face or not method.face)
        and (donor_face or not method.donor)
    ]
    absent = absent_methods()
    sounds = [
        name
        for name, method in SOUND.items()
        if sound and (donor_voice or not method.donor) and name not in absent
    ]
    names = [*pictures, *sounds, *(f"{p}+{q}" for p in pictures for q in sounds)]
    if face and scene.waveform is not None and scene.speaks(scene.seen):
        if scene.steps >= MIN_SHIFTED:
            names += ["sound_shifted", "dubbed_own"]
        if any(d.landmarks is not None and d.waveform is not None for d in scene.donors):
            names.append("dubbed_donor")
    return names
