"""Drawn clips in, forged ones with exact truth out: one cue at a time, and nothing else changed.

Each artefact touches the pixels of a region, the sound, or the landmarks' depth in an interval,
and leaves everything else as it was, bit for bit. Its strength is 1 as described; at 0 it does
nothing, but for a grey level of rounding, and between it does less of the same.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from extractors.clip import Array, Frames
from extractors.clock import SAMPLE_RATE, SAMPLES_PER_STEP
from extractors.crops import RIGID
from pipelines.cues.drawn_clips import FACE, FACES, SIDE, Drawing, KnownClip, grain, recorded
from pipelines.forge.picture.blend import Painter, blend_in
from pipelines.forge.picture.generator_look import KERNELS, transposed_upsample
from pipelines.forge.picture.geometry import Box, MaskShape, draw_shape, soft_mask
from pipelines.forge.sound.vocoders import griffin_lim

FEWEST = 8  # steps of an interval
FOREIGN_GRAIN = 5.0  # grey levels, of the pasted region's noise, white
FLICKER = 0.04  # of the light, standard deviation a step
TREMOR = 1.5  # pixels, standard deviation of the warp's largest displacement a step
PATCH, RANK = 8, 12  # pixels of an autoencoder's patches, and numbers that it keeps of each
FULL_RANK = 24  # numbers of a patch of half the size, of which a generator makes all
HINGE = 0.03  # of FACE, standard deviation of the chin's depth a step
RELIEF = 0.15  # standard deviation of the scale of the face's relief a step
LAGS = (5, 10)  # steps
FADE = SAMPLE_RATE // 100  # samples


WHOLE_FACE = MaskShape("face", feather=0.03)


def blend(drawing: Drawing, rng: np.random.Generator, strength: float = 1.0) -> KnownClip:
    """Return a clip in which a region of the face was pasted: its noise is another camera's."""
    foreign = FOREIGN_GRAIN * rng.standard_normal(drawing.clean.shape, dtype=np.float32)
    shape = draw_shape(rng, ("inner", "eyes", "lower", "mouth"), 0.5)
    noise = strength * foreign + (1 - strength) * drawing.noise
    return _painted(drawing, rng, shape, lambda t, box: _cut(drawing.clean[t] + noise[t], box))


def upsampling(drawing: Drawing, rng: np.random.Generator, strength: float = 1.0) -> KnownClip:
    """Return a clip whose face was made at half its size: nearest, linear or transposed."""
    frames = drawing.frames
    kind = str(rng.choice(["nearest", "linear", "transposed"]))
    kernel = _uneven_kernel(rng)

    def enlarged(step: int) -> Array:
        half = _halved(frames[step].astype(np.float32))
        if kind == "transposed":
            return transposed_upsample(half, kernel)
        return np.asarray(cv2.resize(half, (SIDE, SIDE), interpolation=KERNELS[kind]))

    return _painted(
        drawing, rng, WHOLE_FACE,
        lambda t, box: _cut(_mixed(frames[t], enlarged(t), strength), box),
    )  # fmt: skip


def flicker(drawing: Drawing, rng: np.random.Generator, strength: float = 1.0) -> KnownClip:
    """Return a clip whose face changes its colour a little from step to step."""
    frames, gains = drawing.frames, 1 + strength * rng.normal(0, FLICKER, (drawing.steps, 3))
    return _painted(
        drawing, rng, WHOLE_FACE,
        lambda t, box: _cut(frames[t], box).astype(np.float32) * gains[t].astype(np.float32),
    )  # fmt: skip


def autoencoder(drawing: Drawing, rng: np.random.Generator, strength: float = 1.0) -> KnownClip:
    """Return a clip whose face went through the best linear autoencoder of the clip's patches."""
    frames = drawing.frames
    pictures = _coded(frames.astype(np.float32), RANK)
    return _painted(
        drawing, rng, WHOLE_FACE,
        lambda t, box: _cut(_mixed(frames[t], pictures[t], strength), box),
    )  # fmt: skip


def full(drawing: Drawing, rng: np.random.Generator, strength: float = 1.0) -> KnownClip:
    """Return a clip of which a small generator made every pixel, from its first step to its last.

    Codes of few numbers, a linear decoder at half the size, and a transposed convolution: nothing
    of the camera's noise is left.
    """
    kernel = _uneven_kernel(rng)
    half = np.stack([_halved(frame.astype(np.float32)) for frame in drawing.frames])
    made = np.stack([transposed_upsample(f, kernel) for f in _coded(half, FULL_RANK)])
    frames = recorded(_mixed(drawing.frames, made, strength))
    everywhere = np.ones(drawing.clean.shape[:3], bool)
    steps = (0, drawing.steps)
    return KnownClip(frames, drawing.heard(), drawing.landmarks, steps, everywhere)


def motion(drawing: Drawing, rng: np.random.Generator, strength: float = 1.0) -> KnownClip:
    """Return a clip whose face trembles in a smooth warp; the noise stays the camera's own."""
    field = grain(rng, (SIDE, SIDE, 3), 1.0, sigma=12.0)[..., :2]
    field = field / np.abs(field).max()
    sizes = (strength * rng.normal(0, TREMOR, drawing.steps)).astype(np.float32)
    rest = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).astype(np.float32)

    def paint(step: int, box: Box) -> Array:
        x, y = (rest[..., i] + sizes[step] * field[..., i] for i in (0, 1))
        edge = cv2.BORDER_REFLECT_101
        warped = cv2.remap(drawing.clean[step], x, y, cv2.INTER_CUBIC, borderMode=edge)
        return _cut(warped + drawing.noise[step], box)

    return _painted(drawing, rng, WHOLE_FACE, paint)


def depth(drawing: Drawing, rng: np.random.Generator, strength: float = 1.0) -> KnownClip:
    """Return a clip whose lower face swings in depth as on a hinge; no pixel is touched.

    The landmarks that place the crop (RIGID) keep their depth, and so the crop its place.
    """

    def swing(points: Array) -> Array:
        height = points[:, 1]
        hinge = height[list(RIGID)].max()
        share = ((height - hinge) / (height.max() - hinge)).clip(0, 1)
        return np.asarray(strength * rng.normal(0, HINGE * FACE) * share)

    return _in_depth(drawing, rng, swing)


def relief(drawing: Drawing, rng: np.random.Generator, strength: float = 1.0) -> KnownClip:
    """Return a clip whose face is now deeper, now flatter, from step to step: the depth flickers.

    As of an estimator that scales each frame anew. No pixel is touched, and RIGID keep their depth.
    """
    loose = np.ones(drawing.landmarks.shape[1], bool)
    loose[list(RIGID)] = False

    def scaled(points: Array) -> Array:
        deviation = points[:, 2] - points[list(RIGID), 2].mean()
        return np.asarray(strength * rng.normal(0, RELIEF) * deviation * loose)

    return _in_depth(drawing, rng, scaled)


def _in_depth(
    drawing: Drawing, rng: np.random.Generator, change: Callable[[Array], Array]
) -> KnownClip:
    """Return a clip with a change (478,) of the depth of each step's landmarks in an interval."""
    start, stop = _interval(drawing, rng)
    landmarks, first = drawing.landmarks.copy(), FACES.radius + start
    for step in range(first, first + stop - start):
        landmarks[step, :, 2] += change(landmarks[step])
    untouched = np.zeros(drawing.clean.shape[:3], bool)
    return KnownClip(drawing.frames, drawing.heard(), landmarks, (start, stop), untouched)


def vocoder(drawing: Drawing, rng: np.random.Generator, strength: float = 1.0) -> KnownClip:
    """Return a clip whose voice was rebuilt from few mel bands by Griffin & Lim (1984)."""
    start, stop = _interval(drawing, rng)
    waveform, first = drawing.heard().copy(), start * SAMPLES_PER_STEP
    part = slice(first, stop * SAMPLES_PER_STEP)
    rebuilt = griffin_lim(waveform[part], rng, strength=1.0)
    ramp = np.arange(len(rebuilt), dtype=np.float32)
    share = strength * np.minimum(np.minimum(ramp, ramp[::-1]) / FADE, 1)
    waveform[part] += share * (rebuilt - waveform[part])
    untouched = np.zeros(drawing.clean.shape[:3], bool)
    return KnownClip(drawing.frames, waveform, drawing.landmarks, (start, stop), untouched)


def lag(drawing: Drawing, rng: np.random.Generator, strength: float = 1.0) -> KnownClip:
    """Return a clip whose sound comes too late throughout; it is genuine by itself."""
    late = drawing.heard(round(strength * int(rng.integers(LAGS[0], LAGS[1] + 1))))
    untouched = np.zeros(drawing.clean.shape[:3], bool)
    return KnownClip(drawing.frames, late, drawing.landmarks, (0, drawing.steps), untouched)


Artefact = Callable[..., KnownClip]  # a drawing, a generator, and a strength of 1 unless given

ARTEFACTS: dict[str, Artefact] = {
    "blend": blend,
    "upsampling": upsampling,
    "flicker": flicker,
    "autoencoder": autoencoder,
    "motion": motion,
    "depth": depth,
    "relief": relief,
    "vocoder": vocoder,
    "lag": lag,
    "full": full,
}
PIXELS = ("appearance", "mouth", "flow")
# The streams that an artefact may change; it leaves the others as they were, bit for bit.
CARRIERS = {
    "blend": PIXELS,
    "upsampling": PIXELS,
    "flicker": PIXELS,
    "autoencoder": PIXELS,
    "motion": PIXELS,
    "depth": ("depth", "landmarks"),
    "relief": ("depth", "landmarks"),
    "vocoder": ("mel",),
    "lag": ("mel",),
    "full": PIXELS,
}


def _uneven_kernel(rng: np.random.Generator) -> Array:
    """Return the kernel (4, 4) of a transposed convolution whose phases weigh unequally."""
    hat = np.outer([0.25, 0.75, 0.75, 0.25], [0.25, 0.75, 0.75, 0.25])
    return (hat * (1 + rng.normal(0, 0.1, (4, 4)))).astype(np.float32)


def _halved(frame: Array) -> Array:
    half = cv2.resize(frame, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(half, np.float32)


def _coded(frames: Array, rank: int) -> Array:
    """Return frames (T, H, W, 3) of so many numbers a patch: their best linear autoencoder's."""
    count = frames.shape[1] // PATCH
    grid = frames.reshape(-1, count, PATCH, count, PATCH, 3).swapaxes(2, 3)
    patches = grid.reshape(-1, PATCH * PATCH * 3)
    centred = patches - patches.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)  # ascending
    rebuilt = patches.mean(axis=0) + centred @ vectors[:, -rank:] @ vectors[:, -rank:].T
    return np.asarray(rebuilt.reshape(grid.shape).swapaxes(2, 3).reshape(frames.shape))


def _mixed(own: Frames, made: Array, strength: float) -> Array:
    """Return what is strength made and the rest own."""
    return np.asarray(strength * made + (1 - strength) * own.astype(np.float32), np.float32)


def _painted(
    drawing: Drawing, rng: np.random.Generator, shape: MaskShape, paint: Painter
) -> KnownClip:
    """Return a clip with a region of the face painted over in an interval."""
    start, stop = _interval(drawing, rng)
    frames = blend_in(drawing.frames, drawing.seen(), start, stop, shape, paint, 1.0, 1.0)
    mask = np.zeros(frames.shape[:3], bool)
    for step in range(start, stop):
        (left, top, right, bottom), share = soft_mask(drawing.seen()[step], shape, (SIDE, SIDE))
        mask[step, top:bottom, left:right] = share > 0
    return KnownClip(frames, drawing.heard(), drawing.landmarks, (start, stop), mask)


def _interval(drawing: Drawing, rng: np.random.Generator) -> tuple[int, int]:
    """Return the first step of a random stretch and the first after it."""
    length = int(rng.integers(FEWEST, drawing.steps + 1))
    start = int(rng.integers(0, drawing.steps - length + 1))
    return start, start + length


def _cut(picture: Array | Frames, box: Box) -> Array:
    left, top, right, bottom = box
    return picture[top:bottom, left:right]  # type: ignore[return-value]
