"""Voice forgeries by WORLD (Morise 2016): resynthesis, change of pitch and formants, conversion.

Needs pyworld (`pip install 'avdetect[train]'`); `world_available` tells whether it is installed.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np

from extractors.clip import Array, Doubles
from extractors.clock import SAMPLE_RATE


@dataclass(frozen=True, eq=False)
class Voice:
    """WORLD's analysis of a waveform, its M frames `period` milliseconds apart."""

    pitch: Doubles  # (M,) Hz, 0 where unvoiced
    envelope: Doubles  # (M, F) power
    noise: Doubles  # (M, F) aperiodicity, 0 to 1
    period: float


def world_available() -> bool:
    """Return whether pyworld is installed."""
    return importlib.util.find_spec("pyworld") is not None


def _world() -> ModuleType:
    try:
        import pyworld
    except ImportError as error:
        raise ImportError("WORLD voices need pyworld: pip install 'avdetect[train]'") from error
    return pyworld


def analyse(waveform: Array, period: float = 5.0) -> Voice:
    """Return the pitch, envelope and noise of a waveform (S,)."""
    world = _world()
    signal = np.ascontiguousarray(waveform, np.float64)
    coarse, times = world.dio(signal, SAMPLE_RATE, frame_period=period)
    pitch = world.stonemask(signal, coarse, times, SAMPLE_RATE)
    envelope = world.cheaptrick(signal, pitch, times, SAMPLE_RATE)
    return Voice(pitch, envelope, world.d4c(signal, pitch, times, SAMPLE_RATE), period)


def synthesise(voice: Voice, samples: int) -> Array:
    """Return the waveform (samples,) of a voice."""
    parts = (np.ascontiguousarray(p) for p in (voice.pitch, voice.envelope, voice.noise))
    signal = _world().synthesize(*parts, SAMPLE_RATE, voice.period)
    result: Array = np.zeros(samples, np.float32)
    length = min(len(signal), samples)
    result[:length] = signal[:length]
    return result


def world_resynthesis(waveform: Array, rng: np.random.Generator, strength: float = 0.5) -> Array:
    """Return WORLD's resynthesis of the waveform, sometimes with a coarser envelope."""
    voice = analyse(waveform, float(rng.choice([5.0, 5.0, 8.0, 10.0])))
    if rng.random() < 0.4 + 0.4 * strength:
        world, size = _world(), 2 * (voice.envelope.shape[1] - 1)
        bands = int(rng.integers(24, 61))
        code = world.code_spectral_envelope(voice.envelope, SAMPLE_RATE, bands)
        coarse = world.decode_spectral_envelope(code, SAMPLE_RATE, size)
        voice = replace(voice, envelope=coarse)
    if rng.random() < 0.3 * strength:  # a buzzy voice, as in early systems
        voice = replace(voice, noise=voice.noise * rng.uniform(0.3, 0.9))
    return synthesise(voice, len(waveform))


def change_voice(waveform: Array, rng: np.random.Generator, strength: float = 0.5) -> Array:
    """Return the waveform with another pitch, other formants, or both."""
    voice = analyse(waveform)
    semitones = rng.choice([-1, 1]) * (1 + 5 * strength * rng.random())
    stretch = 1 + rng.choice([-1, 1]) * (0.04 + 0.16 * strength * rng.random())
    what = rng.random()
    if what < 0.75:
        voice = replace(voice, pitch=_intoned(voice.pitch, 2 ** (semitones / 12), rng))
    if what > 0.35:
        voice = replace(voice, envelope=move_formants(voice.envelope, float(stretch)))
    return synthesise(voice, len(waveform))


def convert_voice(
    waveform: Array, donor: Array, rng: np.random.Generator, strength: float = 0.5
) -> Array:
    """Return the waveform with the donor's (S',) pitch and mean spectrum: simple voice conversion.

    The words and their timing stay, so the lips still fit.
    """
    own = analyse(waveform, 8.0)
    other = analyse(donor[: 2 * SAMPLE_RATE], 8.0)  # enough for a mean
    voiced, others = own.pitch[own.pitch > 0], other.pitch[other.pitch > 0]
    pitch = own.pitch
    if len(voiced) > 4 and len(others) > 4:
        pitch = _intoned(
            own.pitch, float(np.exp(np.log(others).mean() - np.log(voiced).mean())), rng
        )
    tilt = _mean_log(other) - _mean_log(own)
    tilt = np.convolve(np.pad(tilt, 8, mode="edge"), np.ones(17) / 17, mode="valid")
    share = 0.4 + 0.5 * strength
    envelope = own.envelope * np.exp(share * np.clip(tilt - tilt.mean(), -3, 3))
    if rng.random() < 0.5:
        envelope = move_formants(envelope, 1 + float(rng.uniform(-0.1, 0.1)))
    return synthesise(replace(own, pitch=pitch, envelope=envelope), len(waveform))


def move_formants(envelope: Doubles, stretch: float) -> Doubles:
    """Return the envelope (M, F) stretched along frequency: above 1 the formants rise."""
    bins = np.arange(envelope.shape[1])
    place = np.clip(bins / stretch, 0, len(bins) - 1)
    left = np.minimum(place.astype(np.int64), len(bins) - 2)
    share = place - left
    log = np.log(envelope + 1e-16)
    moved: Doubles = np.exp(log[:, left] * (1 - share) + log[:, left + 1] * share)
    return moved


def _intoned(pitch: Doubles, ratio: float, rng: np.random.Generator) -> Doubles:
    """Return a pitch (M,) scaled by a ratio, with a wider or narrower range."""
    voiced = pitch > 0
    if not voiced.any():
        return pitch
    middle = np.exp(np.log(pitch[voiced]).mean())
    melody = float(rng.uniform(0.5, 1.3))
    moved = middle * ratio * (np.maximum(pitch, 1) / middle) ** melody
    return np.where(voiced, np.clip(moved, 50, 600), 0.0)


def _mean_log(voice: Voice) -> Doubles:
    """Return the mean log envelope (F,) over a voice's voiced frames, or all if none is."""
    frames = voice.pitch > 0 if (voice.pitch > 0).any() else slice(None)
    mean: Doubles = np.log(voice.envelope[frames] + 1e-16).mean(axis=0)
    return mean
