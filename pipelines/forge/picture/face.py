"""Face forgeries as pure functions: self-blending, swapping, rebuilding and resampling.

Each takes frames (T, H, W, 3) uint8 RGB and landmarks (T, 478, 3) and returns new frames, equal to
the old ones outside steps [start, stop) and outside the face. `strength` runs from subtle (0) to
obvious (1). Manipulations are steady in time; a share of them flickers on purpose.
"""

from __future__ import annotations

import cv2
import numpy as np

from extractors.clip import Array, Frames
from extractors.lips import INNER
from pipelines.forge.picture.blend import blend_in, colour_match, draw_colours, steady_landmarks
from pipelines.forge.picture.generator_look import apply_look, autoencode, draw_look, low_rank
from pipelines.forge.picture.geometry import (
    CROP_SPANS,
    OVAL,
    Box,
    aligned_matrix,
    cut_crop,
    draw_shape,
    drift,
    face_width,
    fill_hull,
    smooth_in_time,
    soft_mask,
    uncut_crop,
)
from pipelines.forge.picture.warp import WARP_POINTS, enough_stiffness, warp_box


def self_blend(
    frames: Frames,
    landmarks: Array,
    start: int,
    stop: int,
    rng: np.random.Generator,
    strength: float = 0.5,
) -> Frames:
    """Return frames whose face is blended with a moved and recoloured copy of itself.

    The traces are those that face swaps have in common: a seam, two colours, two sharpnesses
    (Shiohara & Yamasaki 2022).
    """
    shape = draw_shape(rng, ("face", "face", "inner", "lower", "eyes", "mouth"), strength)
    steady = steady_landmarks(landmarks, rng, strength)
    width = face_width(landmarks[start])
    zoom = 1 + 0.06 * strength * rng.uniform(-1, 1)
    turn = np.radians(4 * strength * rng.uniform(-1, 1))
    shift = rng.uniform(-0.035, 0.035, 2) * strength * width
    sway = np.stack([drift(rng, stop - start) for _ in range(2)], 1) * 0.006 * strength * width
    look = draw_look(rng, 0.6 * strength * rng.random(), width)
    recolour = draw_colours(rng, stop - start, strength)
    grain = np.random.default_rng(rng.integers(2**63))

    def paint(step: int, box: Box) -> Array:
        k = step - start
        centre = steady[step, list(OVAL), :2].mean(axis=0) - np.array(box[:2])
        matrix = _turn_about(centre, turn, zoom, shift + sway[k])
        own = frames[step, box[1] : box[3], box[0] : box[2]]
        size = (box[2] - box[0], box[3] - box[1])
        moved = cv2.warpAffine(own, matrix, size, borderMode=cv2.BORDER_REFLECT_101)
        return recolour(apply_look(moved.astype(np.float32), look, grain), k)

    opacity = float(rng.choice([0.5, 0.75, 1.0, 1.0]))
    return blend_in(frames, steady, start, stop, shape, paint, opacity, shading=1.0)


def swap_face(
    frames: Frames,
    landmarks: Array,
    start: int,
    stop: int,
    rng: np.random.Generator,
    donor_frames: Frames,
    donor_landmarks: Array,
    strength: float = 0.5,
) -> Frames:
    """Return frames with a donor's face, warped to the pose and expression of the original.

    Donor frames (T', H', W', 3) and landmarks (T', 478, 3) may be of any size and length.
    """
    shape = draw_shape(rng, ("face", "face", "inner", "inner", "lower"), strength)
    steady = steady_landmarks(landmarks, rng, strength)
    donor_steps = match_steps(landmarks[start:stop], donor_landmarks, rng)
    own_points = steady[:, WARP_POINTS, :2]
    donor_points = smooth_in_time(donor_landmarks[:, WARP_POINTS, :2], 1.0)
    probes = range(0, stop - start, max((stop - start) // 6, 1))
    stiffness = enough_stiffness(
        [own_points[start + k] for k in probes], [donor_points[donor_steps[k]] for k in probes]
    )
    look = draw_look(rng, strength * rng.random(), face_width(landmarks[start]))
    recolour = draw_colours(rng, stop - start, 0.35 * strength)
    fidelity = float(rng.uniform(0.7, 1.0))  # how far the colours are matched
    grain = np.random.default_rng(rng.integers(2**63))
    own_mouth = shape.region != "mouth" and rng.random() < 0.4
    gain: Array | None = None
    shift: Array | None = None

    def paint(step: int, box: Box) -> Array:
        nonlocal gain, shift
        k = step - start
        source = donor_steps[k]
        face = warp_box(
            donor_frames[source], own_points[step], donor_points[source], box, stiffness
        )
        own = frames[step, box[1] : box[3], box[0] : box[2]].astype(np.float32)
        _, mask = soft_mask(steady[step], shape, frames.shape[1:3])
        new_gain, new_shift = colour_match(face, own, mask, fidelity)
        # A moving average, so that the colours follow the light without flicker.
        gain = new_gain if gain is None else 0.8 * gain + 0.2 * new_gain
        shift = new_shift if shift is None else 0.8 * shift + 0.2 * new_shift
        worn = recolour(apply_look(face * gain + shift, look, grain), k)
        return show_mouth(worn, own, steady[step], box) if own_mouth else worn

    shading = float(rng.choice([0.0, 0.2, 0.5, 1.0], p=[0.2, 0.25, 0.25, 0.3]))
    return blend_in(frames, steady, start, stop, shape, paint, 1.0, shading)


def rebuild_face(
    frames: Frames,
    landmarks: Array,
    start: int,
    stop: int,
    rng: np.random.Generator,
    strength: float = 0.5,
) -> Frames:
    """Return frames whose face is the output of an autoencoder fitted to the clip's own face.

    It is linear (principal components) or convolutional, at random.
    """
    shape = draw_shape(rng, ("face", "inner", "lower", "mouth", "mouth"), strength)
    steady = steady_landmarks(landmarks, rng, strength)
    convolutional = rng.random() < 0.5
    side = int(rng.choice([64, 96] if convolutional else [64, 96, 128]))
    # Fitted on frames of the whole clip; only the segment is replaced by its output.
    inside = np.arange(start, stop)
    others = np.setdiff1d(np.arange(0, len(frames), max(len(frames) // 60, 1)), inside)
    steps = np.concatenate([inside, others])
    matrices = [aligned_matrix(steady[t], side, shape.region) for t in steps]
    crops = np.stack([cut_crop(frames[t], m, side) for t, m in zip(steps, matrices, strict=True)])
    if convolutional:
        rebuilt = autoencode(crops, rng, updates=int(280 - 160 * strength))
    else:
        rebuilt = low_rank(crops, int(np.clip(len(crops) * (0.35 - 0.3 * strength), 1, 24)))
    kept = float(rng.uniform(0, 0.6) * (1 - 0.7 * strength))  # of the detail that was lost
    look = draw_look(rng, 0.4 * strength * rng.random(), 0)
    grain = np.random.default_rng(rng.integers(2**63))

    def paint(step: int, box: Box) -> Array:
        k = step - start
        crop = rebuilt[k] + kept * (crops[k] - rebuilt[k])
        return uncut_crop(apply_look(crop, look, grain), matrices[k], box)

    shading = float(rng.choice([0.3, 1.0]))
    return blend_in(frames, steady, start, stop, shape, paint, 1.0, shading)


def resample_face(
    frames: Frames,
    landmarks: Array,
    start: int,
    stop: int,
    rng: np.random.Generator,
    strength: float = 0.5,
) -> Frames:
    """Return frames whose face is downsampled and upsampled as in a generator's aligned crop."""
    shape = draw_shape(rng, ("face", "face", "inner", "lower", "mouth"), strength)
    steady = steady_landmarks(landmarks, rng, strength)
    look = draw_look(rng, strength, face_width(landmarks[start]), least=1.4)
    grain = np.random.default_rng(rng.integers(2**63))
    span = CROP_SPANS.get(shape.region, CROP_SPANS["face"])
    side = max(int(span * face_width(landmarks[start])), 16)  # the frame's own resolution

    def paint(step: int, box: Box) -> Array:
        matrix = aligned_matrix(steady[step], side, shape.region)
        crop = apply_look(cut_crop(frames[step], matrix, side), look, grain)
        return uncut_crop(crop, matrix, box)

    return blend_in(frames, steady, start, stop, shape, paint, 1.0, shading=1.0)


def show_mouth(worn: Array, own: Array, landmarks: Array, box: Box) -> Array:
    """Return a swapped face (h, w, 3) with the original teeth and tongue between its lips."""
    hole = fill_hull(landmarks[list(INNER), :2], box)
    sigma = max(0.012 * face_width(landmarks), 0.6)
    soft = cv2.GaussianBlur(hole, (0, 0), sigma)[..., None]
    return np.asarray(worn + soft * (own - worn), np.float32)


def match_steps(own: Array, donor: Array, rng: np.random.Generator) -> list[int]:
    """Return the donor's step for each of the target's landmarks (n, 478, 3).

    The steps run back and forth through the donor's clip, from the offset at which head and lips
    are most similar to the target's.
    """
    period = 2 * len(donor) - 2 if len(donor) > 1 else 1
    running = np.abs(
        (np.arange(period + len(own)) + len(donor) - 1) % max(period, 1) - len(donor) + 1
    )
    shapes, others = _normal_shape(own), _normal_shape(donor)
    stride = max(period // 12, 1)
    offsets = np.arange(int(rng.integers(stride)), period, stride)
    costs = [np.square(shapes - others[running[o : o + len(own)]]).mean() for o in offsets]
    best = int(offsets[int(np.argmin(costs))])
    return [int(step) for step in running[best : best + len(own)]]


def _normal_shape(landmarks: Array) -> Array:
    """Return landmarks (T, K, 2) normalised for position and size."""
    points = landmarks[:, [*OVAL[::2], *INNER[::2]], :2]  # the head's turn and the lips
    centred = points - points.mean(axis=1, keepdims=True)
    return np.asarray(centred / (centred.std(axis=(1, 2), keepdims=True) + 1e-6))


def _turn_about(centre: Array, angle: float, zoom: float, shift: Array) -> Array:
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([turn, centre - turn @ centre + shift])
