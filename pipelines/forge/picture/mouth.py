"""Lip forgeries: the mouth of another moment, or of a donor, on the same face.

As in `pipelines.forge.picture.face`, each takes frames and landmarks and returns new frames, equal
to the old ones outside the segment and outside the lower face.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from extractors.clip import Array, Frames
from extractors.crops import RIGID
from extractors.lips import INNER, OUTER
from pipelines.forge.picture.blend import blend_in, colour_match, draw_colours, steady_landmarks
from pipelines.forge.picture.generator_look import apply_look, draw_look
from pipelines.forge.picture.geometry import (
    Box,
    draw_shape,
    face_width,
    fill_hull,
    smooth_in_time,
    soft_mask,
)
from pipelines.forge.picture.warp import (
    SPEAKING_POINTS,
    STILL_POINTS,
    enough_stiffness,
    rigid_similarity,
    warp_box,
)

RETIMINGS = ("lag", "elsewhere", "reverse", "tempo")
MIN_LAG = 5  # steps: lips and sound less than 0.2 s apart still pass as in sync
LEAST_FIT = 0.06  # face widths: above, the head is turned too far for the mouth to fit


Steps = npt.NDArray[np.int64]


def retime_mouth(
    frames: Frames,
    landmarks: Array,
    start: int,
    stop: int,
    rng: np.random.Generator,
    source_steps: Steps,
    strength: float = 0.5,
) -> Frames:
    """Return frames whose mouth at step start + k is the one of step source_steps[k].

    The lips keep their shape; the rest of the lower face is warped to meet the original skin.
    """
    return replace_mouth(
        frames, landmarks, start, stop, rng, source_steps, frames, landmarks, strength
    )


def replace_mouth(
    frames: Frames,
    landmarks: Array,
    start: int,
    stop: int,
    rng: np.random.Generator,
    source_steps: Steps,
    donor_frames: Frames,
    donor_landmarks: Array,
    strength: float = 0.5,
) -> Frames:
    """Return frames whose mouth at step start + k is the donor's at step source_steps[k]."""
    shape = draw_shape(rng, ("lower", "lower", "mouth"), strength)
    shape = replace(shape, feather=max(shape.feather, 0.025))  # moving lips need a soft seam
    steady = steady_landmarks(landmarks, rng, strength)
    donor_steady = smooth_in_time(donor_landmarks, 0.6)
    look = draw_look(rng, strength * rng.uniform(0, 0.9), face_width(landmarks[start]))
    recolour = draw_colours(rng, stop - start, 0.2 * strength)
    grain = np.random.default_rng(rng.integers(2**63))
    fidelity = float(rng.uniform(0.7, 1.0))
    ramp = _ramp(stop - start, int(rng.choice([0, 0, 2, 4])))
    still, speaking = list(STILL_POINTS), list(SPEAKING_POINTS)
    lips = slice(len(still), None)  # of the points below

    def points(step: int) -> tuple[Array, Array]:
        """Return target points, the skull's unmoved and the lips' moved, and source points."""
        face = donor_steady[source_steps[step - start]]
        matrix, shift = rigid_similarity(face, steady[step])
        moved = face[speaking, :2] @ matrix.T + shift
        return np.concatenate([steady[step, still, :2], moved]), face[still + speaking, :2]

    probes = [points(step) for step in range(start, stop, max((stop - start) // 6, 1))]
    stiffness = enough_stiffness([target for target, _ in probes], [face for _, face in probes])

    def paint(step: int, box: Box) -> Array:
        k = step - start
        target, source = points(step)
        mouth = warp_box(donor_frames[source_steps[k]], target, source, box, stiffness)
        own = frames[step, box[1] : box[3], box[0] : box[2]].astype(np.float32)
        skin = soft_mask(steady[step], shape, frames.shape[1:3])[1].copy()
        # An open mouth is dark: colours are matched on the skin around the lips alone.
        skin *= 1 - fill_hull(np.concatenate([steady[step, list(OUTER), :2], target[lips]]), box)
        gain, offset = colour_match(mouth, own, skin + 1e-6, fidelity)
        matched = recolour(apply_look(mouth * gain + offset, look, grain), k)
        return own + ramp[k] * (matched - own)

    shading = float(rng.choice([0.5, 1.0]))
    return blend_in(frames, steady, start, stop, shape, paint, 1.0, shading)


def _ramp(steps: int, length: int) -> Array:
    """Return weights (steps,) that rise over `length` steps, stay at 1, and fall again."""
    rise = (np.arange(steps) + 1) / (length + 1)
    return np.minimum(np.minimum(rise, rise[::-1]), 1).astype(np.float32)


def draw_retiming(kind: str, total: int, start: int, stop: int, rng: np.random.Generator) -> Steps:
    """Return the source step of the mouth for each step of a segment, in a clip of `total` steps.

    Never the step itself. Beyond the clip's ends the steps are mirrored.
    """
    steps = np.arange(start, stop)
    if kind == "reverse" and stop - start < 2 * MIN_LAG:
        kind = "elsewhere"  # a short stretch still passes as in sync when reversed
    if kind == "lag":
        walk = steps + _draw_lag(total, start, stop, rng)
    elif kind == "elsewhere":
        walk = _elsewhere(total, start, stop, rng) + np.arange(stop - start)
    elif kind == "reverse":
        walk = steps[::-1].copy()
    elif kind == "tempo":  # the offset grows away from lag 0 and never crosses it
        slow = rng.random() < 0.5
        tempo = float(rng.uniform(0.5, 0.75) if slow else rng.uniform(1.35, 1.9))
        offset = int(rng.integers(MIN_LAG, 13)) * (-1 if slow else 1)
        walk = np.floor(start + offset + tempo * np.arange(stop - start)).astype(np.int64)
    else:
        raise ValueError(f"expected a retiming among {RETIMINGS}, got {kind!r}")
    return off_the_spot(fold(walk, total), steps, total)


def _draw_lag(total: int, start: int, stop: int, rng: np.random.Generator) -> int:
    """Return a lag of 0.2 to 1 s in steps, with a sign for which the clip has room, if any."""
    lag = int(rng.integers(MIN_LAG, 26))
    sides = [side for side in (-1, 1) if start + side * lag >= 0 and stop + side * lag <= total]
    return lag * int(rng.choice(sides or [-1, 1]))


def steadiest(
    landmarks: Array, start: int, candidates: list[Steps], source: Array | None = None
) -> Steps:
    """Return the first candidate whose head poses fit the segment's, or the best of all.

    The candidates are steps of `source`, by default the clip itself. A mouth from a differently
    turned head cannot be made to fit.
    """
    faces = landmarks if source is None else source
    gaps = [_pose_gap(landmarks[start:], faces[walk]) for walk in candidates]
    fitting = [walk for walk, gap in zip(candidates, gaps, strict=True) if gap < LEAST_FIT]
    return fitting[0] if fitting else candidates[int(np.argmin(gaps))]


def _pose_gap(targets: Array, sources: Array) -> float:
    """Return the misfit of upper faces (n, 478, 3) in face widths: its 90 % quantile over steps."""
    gaps = []
    for k in range(0, len(sources), max(len(sources) // 12, 1)):
        matrix, shift = rigid_similarity(sources[k], targets[k])
        moved = sources[k, list(RIGID), :2] @ matrix.T + shift
        gap = np.sqrt(((moved - targets[k, list(RIGID), :2]) ** 2).sum(axis=-1).mean())
        gaps.append(gap / max(face_width(targets[k]), 1e-6))
    return float(np.quantile(gaps, 0.9))


def draw_frozen(landmarks: Array, start: int, stop: int, rng: np.random.Generator) -> Steps:
    """Return one step for the whole segment: the one before it, or one with closed lips."""
    opening = np.linalg.norm(landmarks[:, INNER[5], :2] - landmarks[:, INNER[15], :2], axis=-1)
    closed = int(np.argmin(opening + rng.uniform(0, 0.3, len(opening)) * opening.std()))
    held = closed if rng.random() < 0.5 else max(start - 1, 0)
    return np.full(stop - start, held)


def _elsewhere(total: int, start: int, stop: int, rng: np.random.Generator) -> int:
    """Return the start of another stretch of the same length, without overlap if possible."""
    length = stop - start
    starts = np.arange(max(total - length, 0) + 1)
    apart = np.abs(starts - start)
    far = starts[apart >= min(length, max(int(apart.max()), 1))]
    return int(rng.choice(far)) if len(far) else int(starts[-1])


def fold(walk: Steps, total: int) -> Steps:
    """Return steps mirrored back into [0, total) at both ends."""
    period = max(2 * total - 2, 1)
    inside: Steps = np.abs((walk + total - 1) % period - (total - 1))
    return inside


def off_the_spot(walk: Steps, steps: Steps, total: int) -> Steps:
    """Return the walk (n,) with every step moved that equals that of `steps` (n,), if possible."""
    neighbour = np.where(steps + 1 < total, steps + 1, steps - 1)
    return np.where(walk == steps, np.maximum(neighbour, 0), walk)
