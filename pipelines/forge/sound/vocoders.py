"""Analysis and resynthesis of speech with the artefacts of various vocoders.

Every vocoder takes a waveform (S,) float32 at 16 kHz and returns one of the same length and
timing. `strength` runs from subtle (0) to obvious (1).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from extractors.clip import Array
from extractors.clock import SAMPLE_RATE

PITCHES = (60.0, 400.0)  # Hz, the range of a voice's fundamental


def to_spectrum(waveform: Array, size: int, hop: int) -> Tensor:
    """Return the complex spectrum (F, M) of a waveform, its M frames one hop apart."""
    window = torch.hann_window(size)
    signal = torch.from_numpy(np.array(waveform, np.float32))
    if len(signal) <= size:  # torch mirrors half a window at the ends
        signal = torch.nn.functional.pad(signal, (0, size + 1 - len(signal)))
    return torch.stft(signal, size, hop, window=window, return_complex=True)


def to_waveform(spectrum: Tensor, hop: int, samples: int) -> Array:
    """Return the waveform (samples,) of a spectrum (F, M): the inverse of `to_spectrum`."""
    size = 2 * (len(spectrum) - 1)
    window = torch.hann_window(size)
    length = min(samples, hop * (spectrum.shape[1] - 1) + size // 2 - 1)
    signal = torch.istft(spectrum, size, hop, window=window, length=length)
    padded: Array = np.zeros(samples, np.float32)
    padded[: len(signal)] = signal.numpy()
    return padded


@lru_cache(maxsize=32)
def mel_filters(bands: int, size: int, top: float) -> tuple[Tensor, Tensor]:
    """Return mel filters (bands, F) up to `top` Hz and their pseudo-inverse (F, bands)."""
    from torchaudio.functional import melscale_fbanks

    scale = {"norm": "slaney", "mel_scale": "slaney"}
    weights = melscale_fbanks(size // 2 + 1, 0.0, top, bands, SAMPLE_RATE, **scale).T
    return weights, torch.linalg.pinv(weights)


def draw_mel(rng: np.random.Generator, strength: float) -> tuple[int, int, int, float]:
    """Return a typical mel analysis of text-to-speech systems: bands, size, hop, top in Hz."""
    bands = int(rng.choice([128, 100, 80, 64] if strength < 0.6 else [80, 64, 48, 40]))
    size = int(rng.choice([800, 1024]))
    return bands, size, size // 4, float(rng.choice([8000, 7600, 7000]))


def mel_magnitude(magnitude: Tensor, bands: int, size: int, top: float) -> Tensor:
    """Return a magnitude (F, M) as reconstructed from its mel spectrum."""
    filters, inverse = mel_filters(bands, size, top)
    return (inverse @ (filters @ magnitude)).clamp_min(0)


def griffin_lim(waveform: Array, rng: np.random.Generator, strength: float = 0.5) -> Array:
    """Return the waveform rebuilt from its mel spectrum alone by fast Griffin-Lim.

    After Perraudin, Balazs and Søndergaard (WASPAA 2013).
    """
    bands, size, hop, top = draw_mel(rng, strength)
    spectrum = to_spectrum(waveform, size, hop)
    magnitude = mel_magnitude(spectrum.abs(), bands, size, top)
    samples = hop * (spectrum.shape[1] - 1)
    window = torch.hann_window(size)
    phases = torch.from_numpy(rng.uniform(-np.pi, np.pi, magnitude.shape).astype(np.float32))
    guess, last = torch.polar(torch.ones_like(phases), phases), torch.zeros_like(spectrum)
    for _ in range(int(rng.integers(10, 36 - int(20 * strength)))):
        signal = torch.istft(magnitude * guess, size, hop, window=window, length=samples)
        estimate = torch.stft(signal, size, hop, window=window, return_complex=True)
        moved = estimate - (0.99 / 1.99) * last  # momentum
        guess, last = moved / moved.abs().clamp_min(1e-8), estimate
    return to_waveform(magnitude * guess, hop, len(waveform))


def rough_phase(waveform: Array, rng: np.random.Generator, strength: float = 0.5) -> Array:
    """Return the waveform with random phases above some frequency, and mel-smooth magnitudes.

    Typical of neural vocoders: exact where hearing is acute, invented in the higher bands.
    """
    bands, size, hop, top = draw_mel(rng, strength)
    spectrum = to_spectrum(waveform, size, hop)
    magnitude, phase = spectrum.abs(), spectrum.angle()
    share = float(rng.uniform(0.5, 1)) if rng.random() < 0.7 else 0.0
    smooth = mel_magnitude(magnitude, bands, size, top)
    magnitude = magnitude + share * (smooth - magnitude)
    edge = float(rng.uniform(1500, 5500) * (1 - 0.5 * strength))
    frequency = torch.linspace(0, SAMPLE_RATE / 2, len(spectrum))[:, None]
    amount = ((frequency - edge) / 800).clamp(0, 1) * (0.6 + 2.5 * strength)
    noise = torch.from_numpy(rng.normal(size=tuple(phase.shape)).astype(np.float32))
    return to_waveform(torch.polar(magnitude, phase + amount * noise), hop, len(waveform))


def smooth_spectrum(waveform: Array, rng: np.random.Generator, strength: float = 0.5) -> Array:
    """Return the waveform with its log-magnitudes smoothed along time and frequency.

    Generators trained to regress the mean give such over-smooth spectra.
    """
    size, hop = 512, 128
    spectrum = to_spectrum(waveform, size, hop)
    log = spectrum.abs().clamp_min(1e-6).log()[None, None]  # (1, 1, F, M)
    wide = 2 * int(rng.integers(0, 2 + round(2 * strength))) + 1
    long = 2 * int(rng.integers(1, 2 + round(3 * strength))) + 1
    flat = torch.nn.functional.avg_pool2d(
        log, (wide, long), 1, (wide // 2, long // 2), count_include_pad=False
    )
    gain = ((0.5 + 0.5 * strength) * (flat - log))[0, 0].clamp(-4, 4).exp()
    return to_waveform(spectrum * gain, hop, len(waveform))


def upsampling_images(waveform: Array, rng: np.random.Generator, strength: float = 0.5) -> Array:
    """Return the waveform with the artefacts of transposed convolutions.

    Mirror images of the lower band above it, and a hum at the frame rate.
    """
    samples = len(waveform)
    factor = int(rng.choice([2, 4]))
    spectrum = np.fft.rfft(waveform)
    frequency = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    edge = SAMPLE_RATE / 2 / factor
    low = np.fft.irfft(spectrum * (frequency < edge), samples)
    stuffed = np.zeros(samples)
    stuffed[::factor] = factor * low[::factor]
    images = np.fft.rfft(stuffed) * (frequency >= edge)
    gain = 10 ** ((-30 + 22 * strength + rng.uniform(-4, 4)) / 20)
    kept = 1.0 if rng.random() < 0.6 else float(rng.uniform(0, 0.5))  # of the true upper band
    upper = np.where(frequency >= edge, kept, 1.0) * spectrum
    result = np.fft.irfft(upper + gain * images, samples)
    hop = int(rng.choice([64, 128, 160, 200, 256]))
    pattern = rng.normal(0, 1, hop)
    hum = np.resize(pattern - pattern.mean(), samples)
    depth = 10 ** ((-46 + 22 * strength) / 20)
    return np.asarray(result * (1 + depth * hum), np.float32)


def linear_prediction(waveform: Array, rng: np.random.Generator, strength: float = 0.5) -> Array:
    """Return the waveform resynthesised from pulses and noise by its linear-prediction envelope."""
    size, hop = 512, 128
    spectrum = to_spectrum(waveform, size, hop)
    power = spectrum.abs().square()
    order = int(rng.integers(14, 27))
    envelope = prediction_envelope(power, order)
    pitch, voiced = track_pitch(waveform)
    excitation = pulses_and_noise(pitch, voiced, len(waveform), rng, float(rng.uniform(0.1, 0.5)))
    source = to_spectrum(excitation, size, hop)
    level = source.abs().square().mean(dim=0).sqrt().clamp_min(1e-6)
    spoken = source / level * envelope
    loudness = power.mean(dim=0).sqrt() / spoken.abs().square().mean(dim=0).sqrt().clamp_min(1e-8)
    spoken = spoken * loudness
    own = float(rng.uniform(0, 0.7) * (1 - strength))  # share of the original that stays
    return to_waveform(spoken + own * (spectrum - spoken), hop, len(waveform))


def prediction_envelope(power: Tensor, order: int) -> Tensor:
    """Return the all-pole magnitude (F, M) that fits a power spectrum (F, M)."""
    correlation = torch.fft.irfft(power, dim=0)[: order + 1]  # (order + 1, M)
    correlation[0] = correlation[0] * 1.0001 + 1e-9
    lags = (torch.arange(order)[:, None] - torch.arange(order)).abs()
    matrices = correlation[lags].permute(2, 0, 1)  # (M, order, order)
    coefficients = torch.linalg.solve(matrices, correlation[1:].T)  # (M, order)
    ones = torch.ones(len(coefficients), 1)
    whitening = torch.cat([ones, -coefficients], dim=1)
    return 1 / torch.fft.rfft(whitening, 2 * (len(power) - 1), dim=1).abs().clamp_min(1e-4).T


def track_pitch(
    waveform: Array, hop: int = 160, pitches: tuple[float, float] = PITCHES
) -> tuple[Array, Array]:
    """Return the fundamental frequency (M,) in Hz and the periodicity (M,) in [0, 1] per hop.

    pitches: Hz, between which the fundamental is sought.
    """
    size = 1024
    spectrum = to_spectrum(waveform, size, hop)
    correlation = torch.fft.irfft(spectrum.abs().square(), dim=0)
    first, last = int(SAMPLE_RATE / pitches[1]), int(SAMPLE_RATE / pitches[0])
    # The window's own correlation falls off with the lag: undo it.
    window = torch.hann_window(size)
    own = torch.fft.irfft(torch.fft.rfft(window, 2 * size).abs().square())[first:last]
    normal = correlation[first:last] / (own / own.max())[:, None] / correlation[0].clamp_min(1e-9)
    lags = torch.arange(first, last)[:, None]
    place = (normal * (1 - 0.15 * lags / last)).argmax(dim=0)  # of equal peaks, the first
    height = normal.gather(0, place[None])[0]
    pitch: Array = (SAMPLE_RATE / (place + first)).numpy().astype(np.float32)
    return pitch, height.clamp(0, 1).numpy().astype(np.float32)


def pulses_and_noise(
    pitch: Array, voiced: Array, samples: int, rng: np.random.Generator, breath: float
) -> Array:
    """Return an excitation (samples,): one pulse per period where voiced, and noise."""
    times = np.linspace(0, len(pitch) - 1, samples)
    frequency = np.interp(times, np.arange(len(pitch)), pitch)
    strength = np.interp(times, np.arange(len(voiced)), np.clip((voiced - 0.3) / 0.3, 0, 1))
    turns = np.floor(np.cumsum(frequency) / SAMPLE_RATE)
    pulses = np.diff(turns, prepend=0) * np.sqrt(SAMPLE_RATE / frequency)
    noise = rng.normal(size=samples)
    return np.asarray(strength * pulses + (1 - (1 - breath) * strength) * noise, np.float32)


VOCODERS = {
    "griffin_lim": griffin_lim,
    "rough_phase": rough_phase,
    "smooth_spectrum": smooth_spectrum,
    "upsampling_images": upsampling_images,
    "linear_prediction": linear_prediction,
}
