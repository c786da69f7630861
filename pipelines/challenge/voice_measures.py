"""What a recorded answer does with its voice: pitch, breath, rhythm and spectrum, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from extractors.clip import Array, Flags
from extractors.clock import SAMPLE_RATE
from extractors.errors import InputError
from pipelines.forge.sound.segments import HOP, levels
from pipelines.forge.sound.vocoders import track_pitch

PITCHES = (60.0, 800.0)  # Hz: a voice that is asked to go up goes beyond that of speech
VOICED = 0.6  # periodicity from which on a hop has a pitch
LEAST_VOICED = 0.1  # share of voiced hops below which an answer has no pitch: chance in a whisper
AUDIBLE = 30.0  # dB below the loudest hop that still count
SILENT = 1e-3  # root mean square below which a hop is silence, whatever the others are
LEAST = 1.0  # seconds of audible sound that an answer needs
WINDOW = 512  # samples of a spectrum: 32 ms
LOW, HIGH = 1000.0, 2000.0  # Hz: the tilt compares what is below with what is above
DIP = 2.0  # dB by which loudness falls between two syllables (de Jong and Wempe 2009)
SMOOTH = 7  # hops of the window that smooths loudness for syllables
TICK = SAMPLE_RATE // 1000  # samples of a millisecond, the grain of onsets
RISE, RISE_DB = 5, 18.0  # milliseconds within which an onset gains so much in both bands
AROUND = 50  # milliseconds before an onset, and after its rise, that it is compared with
REACH = 6.0  # dB below the loudest of those after it that an onset reaches at once
APART = 100  # milliseconds between two onsets
ONSET_RANGE = 40.0  # dB below the loudest tick at which a band counts as silent


@dataclass(frozen=True)
class VoiceMeasures:
    """The measurements of one answer; None: too little of it has a pitch."""

    pitch: float | None  # Hz, the median of its voiced hops
    voiced: float  # share of the audible hops that have a pitch
    centroid: float  # Hz, the mean frequency of its power
    movement: float | None  # octaves, standard deviation of the centroid over its voiced hops
    rate: float  # syllables a second, from the first audible hop to the last
    tilt: float  # dB, power below 1 kHz over power above 2 kHz
    onsets: int  # sudden broadband sounds, such as claps


def measure_voice(waveform: Array) -> VoiceMeasures:
    """Return the measurements of an answer (S,) at 16 kHz.

    Raises:
        InputError: less than a second of it is audible.
    """
    level = levels(waveform)
    audible = (level > level.max(initial=0) * 10 ** (-AUDIBLE / 20)) & (level > SILENT)
    heard = audible.sum() * HOP / SAMPLE_RATE
    if heard < LEAST:
        raise InputError(f"an answer needs {LEAST:g} s of audible sound, got {heard:.1f} s")
    pitch, periodicity = (track[: len(level)] for track in track_pitch(waveform, HOP, PITCHES))
    voiced = audible & (periodicity >= VOICED)
    sung = voiced.mean(where=audible) >= LEAST_VOICED
    power = _spectra(waveform, len(level))  # (M, F)
    frequencies = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
    mean = power[audible].mean(axis=0)
    centroids = (power[voiced] @ frequencies) / np.maximum(power[voiced].sum(axis=1), 1e-20)
    below, above = mean[frequencies < LOW].sum(), mean[frequencies >= HIGH].sum()
    return VoiceMeasures(
        pitch=float(np.median(pitch[voiced])) if sung else None,
        voiced=float(voiced.mean(where=audible)),
        centroid=float(mean @ frequencies / mean.sum()),
        movement=float(np.log2(centroids).std()) if sung else None,
        rate=syllable_rate(level, audible),
        tilt=float(10 * np.log10((below + 1e-12) / (above + 1e-12))),
        onsets=len(onset_times(waveform)),
    )


def _spectra(waveform: Array, hops: int) -> Array:
    """Return the power (M, F) of a Hann window around the middle of every hop."""
    side = (WINDOW - HOP) // 2
    padded = np.pad(waveform, (side, side + HOP))
    frames = padded[np.arange(hops)[:, None] * HOP + np.arange(WINDOW)]
    return np.asarray(np.abs(np.fft.rfft(frames * np.hanning(WINDOW), axis=1)) ** 2, np.float32)


def syllable_rate(level: Array, audible: Flags) -> float:
    """Return syllables a second: peaks of the loudness (M,) that dips by 2 dB between them.

    audible: (M,), the hops between whose first and last the seconds count.

    Source: de Jong and Wempe, Behavior Research Methods 2009, without their check of voicing.
    """
    kernel = np.hanning(SMOOTH + 2)[1:-1]
    smooth = np.convolve(level.astype(np.float64) ** 2, kernel / kernel.sum(), mode="same")
    loudness = 10 * np.log10(np.maximum(smooth, SILENT**2))
    peaks, _ = find_peaks(loudness, height=loudness.max() - AUDIBLE, prominence=DIP)
    places = np.flatnonzero(audible)
    return float(len(peaks) * SAMPLE_RATE / ((places[-1] - places[0] + 1) * HOP))


def onset_times(waveform: Array) -> Array:
    """Return the seconds (N,), to within 5 ms, at which a sound of all frequencies begins.

    Within 5 ms, power below 1 kHz and power above 2 kHz both rise by 18 dB over the loudest of the
    50 ms before, and nearly as high as they get: a vowel begins more slowly, a consonant without
    the low band.
    """
    spectrum = np.fft.rfft(waveform)
    frequencies = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE)
    floor = levels(waveform, TICK).max() * 10 ** (-ONSET_RANGE / 20) + 1e-9
    rises = [
        _rises(np.fft.irfft(np.where(band, spectrum, 0), len(waveform)).astype(np.float32), floor)
        for band in (frequencies < LOW, frequencies >= HIGH)
    ]
    ticks = np.flatnonzero(np.minimum(*rises) >= RISE_DB)
    times: Array = ticks[np.diff(ticks, prepend=-APART - 1) > APART] * TICK / SAMPLE_RATE
    return times


def _rises(sound: Array, floor: float) -> Array:
    """Return by how many dB the 5 ticks from each one on (M,) rise above those before it.

    0 where louder ones follow.
    """
    level = 20 * np.log10(np.maximum(levels(sound, TICK), floor))
    count = len(level)
    before = _highest(np.pad(level, (AROUND, 0), mode="edge"), AROUND)[:count]
    highest, after = (
        _highest(np.pad(level, (0, width), mode="edge"), width)[:count] for width in (RISE, AROUND)
    )
    risen: Array = np.where(highest >= after - REACH, highest - before, 0.0)
    return risen


def _highest(level: Array, width: int) -> Array:
    """Return the highest (M - width + 1,) of so many values (M,) from each one on."""
    highest: Array = np.lib.stride_tricks.sliding_window_view(level, width).max(axis=1)
    return highest
