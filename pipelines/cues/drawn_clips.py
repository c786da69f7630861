"""Seeds in, drawn clips with exact truth out: a textured head that speaks before a background.

Everything about a clip is known because it was put there: how the head moves, where each landmark
lies, how far the mouth is open at each sound. `pipelines.cues.drawn_forgeries` forges such clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from extractors.clip import Array, Frames
from extractors.clock import SAMPLE_RATE, SAMPLES_PER_STEP, STEP_RATE
from extractors.crops import crop_squares
from extractors.face_streams import face_streams
from extractors.faces import FaceConfig
from extractors.flow import FlowExtractor, dis_flow
from extractors.lips import INNER, OUTER
from extractors.measures import FaceMeasures
from extractors.spectrogram import log_mel
from extractors.streams import STREAMS
from pipelines.forge.picture.geometry import OVAL

SIDE = 128  # pixels of a frame, square
FACE = 86.0  # pixels from the top to the bottom of the mesh: a crop's pixel is one of the frame
GRAIN = 2.0  # grey levels, standard deviation of the sensor's noise
GAPE = 0.09  # of FACE, the widest opening of the mouth
SPARE = 10  # steps of sound before and after the clip
FACES = FaceConfig()
UPPER = 11  # the first of a lip contour's landmarks are its upper lip's


@dataclass(frozen=True, eq=False)
class Drawing:
    """A genuine clip and what it was made of."""

    clean: Array  # (T, H, W, 3) before the noise, 0 to 255
    noise: Array  # (T, H, W, 3)
    poses: Array  # (T, 2, 3): from the head at rest, about 0, to the frame, in pixels
    landmarks: Array  # (T + 2 * radius, 478, 3), exactly as drawn
    sound: Array  # ((SPARE + T + SPARE) * 640,), of which the clip hears the middle
    envelope: Array  # as long: loudness, 0 to 1

    @property
    def steps(self) -> int:
        """T."""
        return len(self.clean)

    @property
    def frames(self) -> Frames:
        """What the camera records (T, H, W, 3)."""
        return recorded(self.clean + self.noise)

    @property
    def opening(self) -> Array:
        """How far the mouth is open (T,), 0 to 1: the sound's envelope in a step's middle."""
        return middles(self.envelope)[SPARE : SPARE + self.steps]

    def seen(self) -> Array:
        """Return the landmarks (T, 478, 3) of the clip's own steps."""
        return self.landmarks[FACES.radius : len(self.landmarks) - FACES.radius]

    def heard(self, lag: int = 0) -> Array:
        """Return the waveform (T * 640,), late by a lag in steps."""
        first = (SPARE - lag) * SAMPLES_PER_STEP
        return self.sound[first : first + self.steps * SAMPLES_PER_STEP]


@dataclass(frozen=True, eq=False)
class KnownClip:
    """A clip, genuine or forged, and the truth about it."""

    frames: Frames  # (T, H, W, 3)
    waveform: Array  # (T * 640,)
    landmarks: Array  # (T + 2 * radius, 478, 3)
    interval: tuple[int, int]  # forged steps, the second excluded; (0, 0): genuine
    mask: npt.NDArray[np.bool_]  # (T, H, W): where pixels are forged


def draw(rng: np.random.Generator, mesh: Array, steps: int) -> Drawing:
    """Return a genuine clip of a head with the shape of a mesh (478, 3), see `mesh_at_rest`."""
    around = steps + 2 * FACES.radius
    sound, envelope = speak(rng, around + 2 * SPARE)
    opening = middles(envelope)[SPARE : SPARE + around]
    poses = draw_poses(rng, around)
    landmarks = pose(mesh, poses, opening, rng)
    # sound and envelope outreach the clip by as much as the landmarks do, and that is cut here
    kept = slice(FACES.radius * SAMPLES_PER_STEP, len(sound) - FACES.radius * SAMPLES_PER_STEP)
    shown = slice(FACES.radius, around - FACES.radius)
    clean = paint(rng, mesh, poses[shown], landmarks[shown])
    noise = grain(rng, clean.shape, GRAIN)
    return Drawing(clean, noise, poses[shown], landmarks, sound[kept], envelope[kept])


def genuine(drawing: Drawing) -> KnownClip:
    """Return a drawing as it is."""
    nowhere = np.zeros(drawing.clean.shape[:3], bool)
    return KnownClip(drawing.frames, drawing.heard(), drawing.landmarks, (0, 0), nowhere)


def streams_of(clip: KnownClip) -> dict[str, Tensor]:
    """Return the streams (T, ...) that the extractors make of a clip."""
    squares = crop_squares(clip.landmarks, FACES)
    flow = FlowExtractor(dis_flow())
    streams = face_streams(
        list(clip.frames), clip.landmarks, squares, FACES, flow, FaceMeasures(), None,
        log_mel(clip.waveform),
    )  # fmt: skip
    return {name: stream for name, stream in streams.items() if name in STREAMS}


def mesh_at_rest(landmarks: Array) -> Array:
    """Return landmarks (478, 3) of any face as a head at rest: upright, FACE high, about 0."""
    centred = landmarks - landmarks.mean(axis=0)
    return np.asarray(centred * FACE / np.ptp(centred[:, 1]), np.float32)


def draw_poses(rng: np.random.Generator, steps: int) -> Array:
    """Return where the head is (steps, 2, 3): it sways by some pixels and turns by some degrees."""
    time = np.arange(steps) / STEP_RATE

    def sway(size: float) -> Array:
        rate, phase = rng.uniform(0.3, 0.9), rng.uniform(0, 2 * np.pi)
        return np.asarray(size * np.sin(2 * np.pi * rate * time + phase))

    x, y = (SIDE / 2 + rng.uniform(-3, 3) + sway(3.0) for _ in range(2))
    roll, scale = rng.uniform(-0.1, 0.1) + sway(0.05), rng.uniform(0.95, 1.05) + sway(0.01)
    cos, sin = scale * np.cos(roll), scale * np.sin(roll)
    rows = [np.stack([cos, -sin, x], axis=1), np.stack([sin, cos, y], axis=1)]
    return np.stack(rows, axis=1).astype(np.float32)


def pose(mesh: Array, poses: Array, opening: Array, rng: np.random.Generator) -> Array:
    """Return the landmarks (T, 478, 3) of a mesh in poses (T, 2, 3), its mouth open (T,).

    The head nods a little as well, which its depth alone shows.
    """
    rate, phase = rng.uniform(0.3, 0.9), rng.uniform(0, 2 * np.pi)
    nod = 0.08 * np.sin(2 * np.pi * rate * np.arange(len(poses)) / STEP_RATE + phase)
    points = np.repeat(mesh[None], len(poses), axis=0)
    for contour in (OUTER, INNER):
        corners, lower = mesh[[contour[0], contour[UPPER - 1]], 0], list(contour[UPPER:])
        along = (mesh[lower, 0] - corners.mean()) / (np.ptp(corners) / 2)
        points[:, lower, 1] += GAPE * FACE * opening[:, None] * (1 - along**2).clip(0)
    points[..., 2] += nod[:, None] * points[..., 1]
    flat = np.einsum("tij,tkj->tki", poses[..., :2], points[..., :2]) + poses[:, None, :, 2]
    scale = np.hypot(poses[:, 0, 0], poses[:, 1, 0])
    return np.concatenate([flat, points[..., 2:] * scale[:, None, None]], axis=-1).astype(
        np.float32
    )


def paint(rng: np.random.Generator, mesh: Array, poses: Array, landmarks: Array) -> Array:
    """Return noiseless frames (T, H, W, 3) of a textured head before a textured background."""
    background, skin = texture(rng), texture(rng)
    hull = cv2.convexHull(mesh[list(OVAL), :2] + SIDE / 2)[:, 0].astype(np.float32)
    head = cv2.GaussianBlur(_filled(hull), (0, 0), 0.8)
    lip = rng.uniform(90, 150, 3) + np.array([50, -40, -40])
    throat = rng.uniform(20, 50, 3)
    frames = []
    for matrix, points in zip(poses, landmarks, strict=True):
        placed = matrix.copy()
        placed[:, 2] -= matrix[:, :2] @ np.full(2, (SIDE - 1) / 2) + 0.5  # pixel centres at + 0.5
        moved = cv2.warpAffine(skin, placed, (SIDE, SIDE), flags=cv2.INTER_CUBIC)
        cover = cv2.warpAffine(head, placed, (SIDE, SIDE), flags=cv2.INTER_LINEAR)[..., None]
        frame = background + cover * (moved - background)
        for contour, colour in ((OUTER, lip), (INNER, throat)):
            order = (*contour[:UPPER], *contour[: UPPER - 1 : -1])
            inside = _filled(points[list(order), :2])[..., None]
            frame = frame + inside * (colour - frame)
        frames.append(frame)
    return np.asarray(frames, np.float32)


def _filled(outline: Array) -> Array:
    """Return the mask (H, W) in [0, 1] of a polygon (K, 2), its pixel centres at + 0.5."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(mask, [np.round((outline - 0.5) * 16).astype(np.int32)], (255,), cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def texture(rng: np.random.Generator) -> Array:
    """Return a random picture (H, W, 3), coarse and fine, in colours about a random one."""
    picture = np.broadcast_to(rng.uniform(90, 165, 3), (SIDE, SIDE, 3))
    for sigma, contrast in ((8.0, 18.0), (3.0, 9.0), (1.2, 5.0)):
        picture = picture + grain(rng, picture.shape, contrast, sigma)
    return np.asarray(picture.clip(0, 255), np.float32)


def grain(
    rng: np.random.Generator, shape: tuple[int, ...], size: float, sigma: float = 0.6
) -> Array:
    """Return noise (..., H, W, 3) of a standard deviation, correlated over sigma pixels."""
    white = rng.standard_normal(shape, dtype=np.float32).reshape(-1, *shape[-3:])
    soft = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in white])
    return np.asarray(soft * (size / soft.std()), np.float32).reshape(shape)


def recorded(light: Array) -> Frames:
    """Return light (..., 3) in whole grey levels."""
    return np.clip(light + 0.5, 0, 255).astype(np.uint8)


def middles(samples: Array) -> Array:
    """Return the value (T,) of samples (T * 640,) in the middle of each step."""
    return samples[SAMPLES_PER_STEP // 2 :: SAMPLES_PER_STEP]


def speak(rng: np.random.Generator, steps: int) -> tuple[Array, Array]:
    """Return a voice (steps * 640,) that says syllables, and its envelope, 0 to 1.

    Harmonics of a swaying pitch, shaped by three formants a syllable, over faint noise.
    """
    count = steps * SAMPLES_PER_STEP
    time = np.arange(count) / SAMPLE_RATE
    pitch = rng.uniform(100, 220) * (1 + 0.05 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    envelope, voice, begin = np.zeros(count), np.zeros(count), 0
    while begin < count:
        end = min(begin + int(rng.uniform(0.14, 0.36) * SAMPLE_RATE), count)
        part = slice(begin, end)
        size = rng.uniform(0.4, 1.0)
        envelope[part] = size * np.sin(np.pi * np.arange(end - begin) / (end - begin)) ** 2
        formants = rng.uniform((300, 900, 2200), (850, 2100, 3200))
        for harmonic in range(1, int(4000 / pitch[begin])):
            away = (harmonic * pitch[begin] - formants) / (60 + 0.06 * formants)
            gain = float((1 / (1 + away**2)) @ (1.0, 0.6, 0.3))
            voice[part] += gain * np.sin(harmonic * phase[part])
        begin = end + int(rng.choice([0, 0, 0.06, 0.2]) * SAMPLE_RATE)
    voice = 0.2 * voice / max(float(voice.std()), 1e-6) * envelope
    sound = voice + 1e-3 * rng.standard_normal(count)
    return np.clip(sound, -1, 1).astype(np.float32), envelope.astype(np.float32)
