"""Named measurements of a file: numbers that a person can check, each with its range and worth.

`Measurements` takes them while the file passes; `MEASURES` says what each means. Their ranges on
genuine clips, and how well each tells genuine clips from fakes, are in `measurements.json`, which
`pipelines/measurement_ranges.py` wrote.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from extractors.crops import RIGID, face_coordinates
from extractors.faces import Array
from extractors.lips import lip_opening
from extractors.media import SAMPLE_RATE, SAMPLES_PER_STEP, STEP_RATE, Clip
from extractors.spectrogram import BANDS, FLOOR, loudness, speech_steps
from extractors.streams import Streams

MIN_STEPS = 50  # of a face or of speech, for a measurement to mean anything: 2 s
MIN_BLINK_STEPS = 75  # of a face, for a rate of blinks: 3 s
MAX_LAG = 12  # steps to either side: 0.48 s
TREND = 50  # steps over which lips and loudness lose their slow changes
PITCH = (60.0, 400.0)  # Hz
PITCH_WINDOW = 1024  # samples: 64 ms
VOICED = 0.6  # autocorrelation at the pitch from which on a step is voiced
ROLL_OFF = 0.95  # of the power below it
SHUT = 0.65  # of the opening that is usual for the eyes, below which they are shut
BLINK = (2, 12)  # steps; eyes shut for longer look down or sleep
SPARSE = 3  # every third picture is enough for noise and flow
# Upper lid, lower lid and the corners of both eyes: the subject's right, then the left.
EYES = ((159, 145, 33, 133), (386, 374, 263, 362))
NOISE_KERNEL = ((1.0, -2.0, 1.0), (-2.0, 4.0, -2.0), (1.0, -2.0, 1.0))  # Immerkaer 1996


@dataclass(frozen=True)
class Measure:
    """What a measurement is, for people."""

    title: str
    unit: str
    modality: str  # of which track it speaks
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
    "roll_off": Measure(
        "spectral roll-off", "kHz", "audio", 2,
        "the frequency below which 95 % of the power of speech lies",
    ),
    "voiced_ratio": Measure(
        "voiced share of speech", "%", "audio", 0, "how much of the audible sound has a pitch",
    ),
}  # fmt: skip


class Series:
    """Numbers a step that come in pieces, some overlapping none: one float a step is kept."""

    def __init__(self) -> None:
        self._pieces: list[tuple[int, Array]] = []

    def add(self, first: int, values: Array) -> None:
        """Append the values (T,) from a step on."""
        self._pieces.append((first, np.asarray(values, np.float32)))

    def values(self, stop: int | None = None) -> Array:
        """Return the values (T,) from step 0 on; NaN where there are none."""
        end = max((first + len(v) for first, v in self._pieces), default=0)
        whole = np.full(end if stop is None else stop, np.nan, np.float32)
        for first, piece in self._pieces:
            span = whole[first : first + len(piece)]
            span[:] = piece[: len(span)]
        return whole


class Measurements:
    """Takes the measurements of one file as it passes; see `MEASURES`."""

    def __init__(self) -> None:
        self._sound: dict[str, Series] = defaultdict(Series)
        self._faces: dict[int, dict[str, Series]] = defaultdict(lambda: defaultdict(Series))

    def chunk(self, clip: Clip) -> None:
        """Measure the sound's pitch."""
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
        heard = self._sound["loudness"].values()
        lips = np.zeros(0, np.float32) if track is None else self._faces[track]["lips"].values()
        return lips, heard

    def of_sound(self) -> dict[str, float]:
        """Return the measurements of the sound by name; what cannot be measured is left out."""
        heard = self._sound["loudness"].values()
        if len(heard) == 0:
            return {}
        speech = speech_steps(torch.from_numpy(heard)).numpy()
        if speech.sum() < MIN_STEPS:
            return {}
        pitched = self._sound["periodicity"].values(len(heard))[speech]
        rolled = self._sound["roll_off"].values(len(heard))[speech]
        return {
            "voiced_ratio": 100 * float(np.mean(pitched > VOICED)),
            "roll_off": float(np.median(rolled)),
        }

    def of_face(self, track: int) -> dict[str, float]:
        """Return the measurements of a face by name; what cannot be measured is left out."""
        series = {name: s.values() for name, s in self._faces[track].items()}
        if np.isfinite(series.get("lips", np.zeros(0, np.float32))).sum() < MIN_STEPS:
            return {}
        found = {
            name: float(np.nanmedian(series[key]))
            for name, key in FACE_SERIES.items()
            if key in series and np.isfinite(series[key]).any()
        }
        blinks = blink_rate(series.get("eyes", np.zeros(0, np.float32)))
        if blinks is not None:
            found["blink_rate"] = blinks
        return found | lip_sync(*self.curves(track))


FACE_SERIES = {
    "landmark_jitter": "jitter",
    "flow_residual": "flow",
    "depth_flicker": "depth",
    "noise_gap": "noise",
}  # measurement -> the series whose median it is


def _face_values(block: Streams, span: slice) -> dict[str, Array]:
    """Return values a step of a face block's streams; NaN for the pictures that are passed over."""
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
    """Return every third value in its place among so many steps, NaN between them."""
    whole = np.full(steps, np.nan, np.float32)
    whole[::SPARSE] = values.numpy()
    return whole


def flow_residual(flow: Tensor, on_face: Tensor) -> Tensor:
    """Return how rough flow (T, 2, 56, 56) is on the face (T, 1, 56, 56), % of a crop a second."""
    smooth = functional.avg_pool2d(flow.float(), 7, 1, 3, count_include_pad=False)
    rough = (flow.float() - smooth).norm(dim=1, keepdim=True) * on_face
    return 100 * rough.sum((1, 2, 3)) / on_face.sum((1, 2, 3)).clamp(min=1)


def noise_gap(appearance: Tensor, on_face: Tensor) -> Tensor:
    """Return the octaves (T,) between the noise on the face and around it.

    Of crops (T, 3, 112, 112) by Immerkaer's operator, which edges and slopes hardly move.
    """
    grey = appearance.float().mean(dim=1, keepdim=True)
    kernel = torch.tensor(NOISE_KERNEL)[None, None]
    noise = functional.conv2d(grey, kernel, padding=1).abs()
    inner = functional.interpolate(1 - functional.max_pool2d(1 - on_face, 5, 1, 2), scale_factor=2)
    outer = functional.interpolate(1 - functional.max_pool2d(on_face, 5, 1, 2), scale_factor=2)
    levels = [
        (noise * part).sum((1, 2, 3)) / part.sum((1, 2, 3)).clamp(min=1) for part in (inner, outer)
    ]
    gap = torch.log2((levels[0] + 0.1) / (levels[1] + 0.1))
    return torch.where(outer.sum((1, 2, 3)) > 0, gap, torch.nan)


def eye_opening(landmarks: Array) -> Array:
    """Return how open the eyes are (T,), height by width, the wider of both (T, 478, 3)."""
    ratios = []
    for upper, lower, outer, inner in EYES:
        height = np.linalg.norm(landmarks[:, upper] - landmarks[:, lower], axis=-1)
        width = np.linalg.norm(landmarks[:, outer] - landmarks[:, inner], axis=-1)
        ratios.append(height / np.maximum(width, 1e-6))
    opening: Array = np.maximum(*ratios).astype(np.float32)
    return opening


def blink_rate(opening: Array) -> float | None:
    """Return the blinks a minute of eye openings (T,), None where they are too few to tell."""
    known = opening[np.isfinite(opening)]
    if len(known) < MIN_BLINK_STEPS:
        return None
    usual = np.percentile(known, 75)
    shut = np.diff(np.r_[0, (known < SHUT * usual).astype(np.int8), 0])
    lengths = np.flatnonzero(shut < 0) - np.flatnonzero(shut > 0)
    blinks = np.sum((lengths >= BLINK[0]) & (lengths <= BLINK[1]))
    return float(blinks * STEP_RATE * 60 / len(known))


def lip_sync(lips: Array, level: Array) -> dict[str, float]:
    """Return lag and fit of lip openings (T,) and the loudness (T,) of the same steps.

    The lag is that of the highest correlation; without a clear one there is none.
    """
    steps = min(len(lips), len(level))
    x, y = lips[:steps], level[:steps]
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < MIN_STEPS + 2 * MAX_LAG:
        return {}
    x, y = _without_trend(x, known), _without_trend(y, known)
    lags = np.arange(-MAX_LAG, MAX_LAG + 1)
    fits = np.array([_correlation(x, y, known, int(lag)) for lag in lags])
    found = {"lip_fit": float(fits[np.abs(lags) <= 2].max())}
    if fits.max() > 0.2:
        found["lip_lag"] = float(abs(lags[fits.argmax()])) * 1000 / STEP_RATE
    return found


def _without_trend(values: Array, known: Any) -> Array:
    """Return values (T,) less their mean over the steps around; 0 where they are unknown."""
    kernel, here = np.ones(2 * TREND + 1), slice(TREND, TREND + len(values))
    total = np.convolve(np.where(known, values, 0.0), kernel)[here]
    count = np.convolve(known.astype(float), kernel)[here]
    result: Array = np.where(known, values - total / np.maximum(count, 1), 0.0).astype(np.float32)
    return result


def _correlation(x: Array, y: Array, known: Any, lag: int) -> float:
    """Return the correlation of x at a step with y `lag` steps later."""
    a, b = (x[: len(x) - lag], y[lag:]) if lag >= 0 else (x[-lag:], y[:lag])
    seen = (known[: len(x) - lag] & known[lag:]) if lag >= 0 else (known[-lag:] & known[:lag])
    a, b = a[seen], b[seen]
    spread = float(a.std() * b.std())
    return float(np.mean((a - a.mean()) * (b - b.mean()))) / spread if spread > 1e-9 else 0.0


def periodicity(waveform: Array) -> Array:
    """Return how periodic each step (T,) of a waveform (T * 640,) is: 1 is a steady tone.

    The highest autocorrelation at a lag of the human pitch, in 64 ms around the step's middle,
    over that at lag 0, made up for the lag's shorter overlap (Boersma 1993, without his window).
    """
    side = (PITCH_WINDOW - SAMPLES_PER_STEP) // 2
    padded = np.pad(waveform, side)
    starts = np.arange(len(waveform) // SAMPLES_PER_STEP) * SAMPLES_PER_STEP
    frames = padded[starts[:, None] + np.arange(PITCH_WINDOW)]
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(frames, 2 * PITCH_WINDOW, axis=1)) ** 2
    auto = np.fft.irfft(power, axis=1)[:, :PITCH_WINDOW]
    low, high = round(SAMPLE_RATE / PITCH[1]), round(SAMPLE_RATE / PITCH[0])
    overlap = 1 - np.arange(low, high) / PITCH_WINDOW
    peak = (auto[:, low:high] / overlap).max(axis=1)
    result: Array = (peak / (auto[:, 0] + PITCH_WINDOW * 1e-8)).clip(0, 1).astype(np.float32)
    return result


def roll_off(mel: Tensor) -> Array:
    """Return the frequency (T,) in kHz below which 95 % of log-mel power (T, 80, 4) lies."""
    power = (mel.exp() - FLOOR).clamp(min=0).sum(dim=2)  # (T, 80)
    share = power.cumsum(dim=1) / power.sum(dim=1, keepdim=True).clamp(min=1e-12)
    band = (share < ROLL_OFF).sum(dim=1).clamp(max=BANDS - 1)
    result: Array = (band_centres()[band.numpy()] / 1000).astype(np.float32)
    return result


def band_centres() -> Array:
    """Return the middle frequencies (80,) of the mel bands in Hz: HTK's scale, as torchaudio's."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    mels = np.linspace(0, top, BANDS + 2)[1:-1]
    result: Array = (700 * (10 ** (mels / 2595) - 1)).astype(np.float32)
    return result
