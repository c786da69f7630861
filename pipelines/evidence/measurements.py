"""Named measurements of a file: numbers that a person can check.

`Measurements` takes them during the detection; `MEASURES` describes each. Their ranges on genuine
clips and their AUC against fakes are in `measurements.json`, which `pipelines/evidence/ranges.py`
writes.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from extractors.clip import Array, Frames
from extractors.crops import RIGID, face_coordinates
from extractors.lips import lip_opening
from extractors.media import STEP_RATE, Clip
from extractors.native import native_crop
from extractors.spectrogram import loudness, speech_steps
from extractors.streams import Streams
from pipelines.evidence.face_measures import blink_rate, eye_opening, flow_residual, noise_gap
from pipelines.evidence.picture_measures import noise_spread, npr_energy, texture_contrast
from pipelines.evidence.sound_measures import MIN_STEPS, lip_sync, periodicity, roll_off
from temporal.segment import Modality

VOICED = 0.6  # autocorrelation at the pitch from which on a step is voiced
SPARSE = 6  # every sixth picture is enough for noise and flow


@dataclass(frozen=True)
class Measure:
    """The description of a measurement, for people."""

    title: str
    unit: str
    modality: Modality  # that it is about
    digits: int
    meaning: str


MEASURES = {
    "lip_lag": Measure(
        "lag of sound behind lips", "ms", "sync", 0,
        "by how much the loudness comes after the opening of the lips, either way",
    ),
    "lip_fit": Measure(
        "fit of lips and loudness", "", "sync", 2,
        "correlation of lip opening and loudness at the best lag of up to 80 ms",
    ),
    "blink_rate": Measure(
        "blinks", "a minute", "visual", 1, "how often the eyes shut for less than half a second",
    ),
    "landmark_jitter": Measure(
        "landmark jitter", "‰ of the face crop", "visual", 2,
        "how much the landmarks of the upper face tremble from frame to frame",
    ),
    "flow_residual": Measure(
        "flow residual", "% of the face crop a second", "visual", 2,
        "how much the movement of neighbouring patches of the face differs",
    ),
    "depth_flicker": Measure(
        "depth flicker", "‰ of the face crop", "visual", 2,
        "how much the face's shape in depth flickers from frame to frame",
    ),
    "noise_gap": Measure(
        "noise of face against surroundings", "octaves", "visual", 2,
        "logarithm (to base 2) of the fine noise on the face over that around it",
    ),
    "npr_energy": Measure(
        "relation of neighbouring pixels", "", "visual", 2,
        "how much pixels differ from the first of their block of four, against the whole picture",
    ),
    "texture_contrast": Measure(
        "rich against poor texture", "octaves", "visual", 2,
        "logarithm (to base 2) of the roughness of the roughest parts over that of the smoothest",
    ),
    "noise_spread": Measure(
        "spread of the noise", "octaves", "visual", 2,
        "logarithm (to base 2) of the noise of the noisiest parts over that of the quietest",
    ),
    "roll_off": Measure(
        "spectral roll-off", "kHz", "audio", 2,
        "the frequency below which 95 % of the power of speech lies",
    ),
    "voiced_ratio": Measure(
        "voiced share of speech", "%", "audio", 0, "how much of the audible sound has a pitch",
    ),
}  # fmt: skip


class Series:
    """One number per step, collected in pieces that may leave gaps."""

    def __init__(self) -> None:
        self._pieces: list[tuple[int, Array]] = []

    def add(self, first: int, values: Array) -> None:
        """Append the values (T,) from a step on."""
        self._pieces.append((first, np.asarray(values, np.float32)))

    def values(self, stop: int | None = None) -> Array:
        """Return the values (T,) from step 0 on; NaN in gaps."""
        end = max((first + len(v) for first, v in self._pieces), default=0)
        whole = np.full(end if stop is None else stop, np.nan, np.float32)
        for first, piece in self._pieces:
            span = whole[first : first + len(piece)]
            span[:] = piece[: len(span)]
        return whole


class Measurements:
    """The measurements of one file, taken during its detection; see `MEASURES`."""

    def __init__(self) -> None:
        self._sound: dict[str, Series] = defaultdict(Series)
        self._picture: dict[str, list[float]] = defaultdict(list)
        self._faces: dict[int, dict[str, Series]] = defaultdict(lambda: defaultdict(Series))

    def chunk(self, clip: Clip) -> None:
        """Measure the sound's pitch, and the pixels of one picture a second."""
        if clip.frames is not None:
            first = -clip.start % STEP_RATE
            for name, values in _pixel_values(clip.frames[first::STEP_RATE]).items():
                self._picture[name] += values
        if clip.waveform is not None:
            self._sound["periodicity"].add(clip.start, periodicity(clip.waveform))

    def face(self, track: int, first: int, squares: Array, landmarks: Array) -> None:
        """Measure eyes and landmarks of a face, landmarks (T, 478, 3)."""
        self._faces[track]["eyes"].add(first, eye_opening(landmarks))
        points = face_coordinates(landmarks[:, list(RIGID)], squares)[..., :2]
        jump = np.linalg.norm(np.diff(points, n=2, axis=0), axis=-1).mean(axis=1)
        self._faces[track]["jitter"].add(first + 1, 1000 * jump)

    def block(self, block: Streams) -> None:
        """Measure the streams of a face or of the sound."""
        span = slice(block.lead, block.steps - block.trail)
        first = block.start + block.lead
        if block.track is not None and block.depth is not None:
            for name, values in _face_values(block, span).items():
                self._faces[block.track][name].add(first, values)
        elif block.mel is not None and not block.scene:
            self._sound["loudness"].add(first, loudness(block.mel[span]).numpy())
            self._sound["roll_off"].add(first, roll_off(block.mel[span]))

    def curves(self, track: int | None) -> tuple[Array, Array]:
        """Return a face's lip opening (T,) and the loudness (T,) of the file; NaN: unknown."""
        level = self._sound["loudness"].values()
        lips = np.zeros(0, np.float32) if track is None else self._faces[track]["lips"].values()
        return lips, level

    def of_sound(self) -> dict[str, float]:
        """Return the measurements of the sound by name; what cannot be measured is left out."""
        level = self._sound["loudness"].values()
        if len(level) == 0:
            return {}
        speech = speech_steps(torch.from_numpy(level)).numpy()
        if speech.sum() < MIN_STEPS:
            return {}
        pitched = self._sound["periodicity"].values(len(level))[speech]
        rolled = self._sound["roll_off"].values(len(level))[speech]
        return {
            "voiced_ratio": 100 * float(np.mean(pitched > VOICED)),
            "roll_off": float(np.median(rolled)),
        }

    def of_picture(self) -> dict[str, float]:
        """Return the measurements of the whole picture by name; none of small ones."""
        return {name: float(np.median(values)) for name, values in self._picture.items()}

    def of_face(self, track: int) -> dict[str, float]:
        """Return the measurements of a face by name; what cannot be measured is left out."""
        series = {name: s.values() for name, s in self._faces[track].items()}
        if np.isfinite(series.get("lips", np.zeros(0, np.float32))).sum() < MIN_STEPS:
            return {}
        medians = {
            name: float(np.nanmedian(series[key]))
            for name, key in FACE_SERIES.items()
            if key in series and np.isfinite(series[key]).any()
        }
        blinks = blink_rate(series.get("eyes", np.zeros(0, np.float32)))
        if blinks is not None:
            medians["blink_rate"] = blinks
        return medians | lip_sync(*self.curves(track))


FACE_SERIES = {
    "landmark_jitter": "jitter",
    "flow_residual": "flow",
    "depth_flicker": "depth",
    "noise_gap": "noise",
}  # measurement -> the series whose median it is


def _pixel_values(frames: Frames) -> dict[str, list[float]]:
    """Return a value for each of some frames (N, H, W, 3) by name; empty if they are too small."""
    crops = [crop for frame in frames if (crop := native_crop(frame)) is not None]
    if not crops:
        return {}
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    kinds = {
        "npr_energy": npr_energy, "texture_contrast": texture_contrast,
        "noise_spread": noise_spread,
    }  # fmt: skip
    return {name: measure(pixels).tolist() for name, measure in kinds.items()}


def _face_values(block: Streams, span: slice) -> dict[str, Array]:
    """Return the step values of a face block's streams by name; NaN for pictures left out."""
    names = ("appearance", "flow", "depth", "landmarks")
    appearance, flow, depth, landmarks = (block.present()[name][span] for name in names)
    on_face = (depth != 0).float()
    flicker = np.full(len(depth), np.nan, np.float32)
    if len(depth) > 2:
        second = depth.float().diff(n=2, dim=0).abs()
        both = on_face[1:-1] * on_face[:-2] * on_face[2:]
        flicker[1:-1] = 1000 * (second * both).sum((1, 2, 3)) / both.sum((1, 2, 3)).clamp(min=1)
    return {
        "lips": lip_opening(landmarks.numpy()),
        "depth": flicker,
        "flow": _sparse(len(flow), flow_residual(flow[::SPARSE], on_face[::SPARSE])),
        "noise": _sparse(len(flow), noise_gap(appearance[::SPARSE], on_face[::SPARSE])),
    }


def _sparse(steps: int, values: Tensor) -> Array:
    """Return values (steps,): the given ones at every `SPARSE`th step, NaN between them."""
    whole = np.full(steps, np.nan, np.float32)
    whole[::SPARSE] = values.numpy()
    return whole
