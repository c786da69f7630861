"""Operators on sound, by severity: noise, codecs, bandwidth, rooms, lines and lag.

An operator is made once per clip, from a severity of 1 to 5 and a random generator, and is then
applied to pieces of a waveform (S,) float32 at 16 kHz, each preceded by CONTEXT earlier samples
(zeros before the clip). The output for the context is discarded: so a room's echo or a codec
continues from piece to piece.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from extractors.decoding.mixing import Waveform
from extractors.media import SAMPLE_RATE, reencode_waveform
from pipelines.stress.operators.picture import at

SoundChange = Callable[[Waveform], Waveform]
SoundMaker = Callable[[int, np.random.Generator], SoundChange]


CONTEXT = SAMPLE_RATE  # samples; no operator reaches further back
PACKET = SAMPLE_RATE // 50
SPEECH_LEVEL = 0.05  # root mean square to which noise is relative: the same for all pieces


def _noise(severity: int, rng: np.random.Generator) -> SoundChange:
    """Add white noise 30 to 0 dB below the usual level of speech."""
    sigma = SPEECH_LEVEL * 10 ** (-at(severity, 30, 20, 12, 6, 0) / 20)
    return lambda x: x + rng.normal(0, sigma, len(x)).astype(np.float32)


def _mp3(severity: int, rng: np.random.Generator) -> SoundChange:
    rate = int(at(severity, 64_000, 48_000, 32_000, 24_000, 16_000))
    return lambda x: reencode_waveform(x, "mp3", rate)


def _aac(severity: int, rng: np.random.Generator) -> SoundChange:
    rate = int(at(severity, 64_000, 48_000, 32_000, 20_000, 12_000))
    return lambda x: reencode_waveform(x, "aac", rate)


def _narrow_band(severity: int, rng: np.random.Generator) -> SoundChange:
    """Limit the bandwidth to that of sampling at 12, 10, 8 (telephone), 6 or 4 kHz."""
    edge = at(severity, 6000, 5000, 4000, 3000, 2000)
    return lambda x: _filtered(x, lambda hertz: hertz < edge)


def _reverb(severity: int, rng: np.random.Generator) -> SoundChange:
    """Add reverberation with a decay of 60 dB in 0.1 to 0.9 s, the longer the stronger."""
    length = int(at(severity, 0.1, 0.2, 0.4, 0.6, 0.9) * SAMPLE_RATE)
    tail = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    tail = at(severity, 0.2, 0.35, 0.5, 0.7, 1.0) * tail / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0

    def change(x: Waveform) -> Waveform:
        size = len(x) + length
        wet = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(tail, size), size)[: len(x)]
        return wet.astype(np.float32)

    return change


def _clipping(severity: int, rng: np.random.Generator) -> SoundChange:
    limit = at(severity, 0.3, 0.15, 0.08, 0.04, 0.02)
    return lambda x: x.clip(-limit, limit)


def _band_stop(severity: int, rng: np.random.Generator) -> SoundChange:
    """Remove a band of 200 Hz to 3 kHz width, somewhere in the range of speech."""
    width = at(severity, 200, 500, 1000, 2000, 3000)
    low = rng.uniform(300, 4000 - width)
    return lambda x: _filtered(x, lambda hertz: (hertz < low) | (hertz > low + width))


def _packet_loss(severity: int, rng: np.random.Generator) -> SoundChange:
    """Silence random packets of 20 ms."""
    share = at(severity, 0.01, 0.03, 0.07, 0.15, 0.3)

    def change(x: Waveform) -> Waveform:
        packets = -(-len(x) // PACKET)
        kept = (rng.random(packets) >= share).astype(np.float32)
        return x * np.repeat(kept, PACKET)[: len(x)]

    return change


def _gain(severity: int, rng: np.random.Generator) -> SoundChange:
    decibels = at(severity, 3, 6, 10, 15, 20) * rng.choice((-1.0, 1.0))
    return lambda x: (x * np.float32(10 ** (decibels / 20))).clip(-1, 1)


def _lag(severity: int, rng: np.random.Generator) -> SoundChange:
    """Delay the sound by 40 to 400 ms."""
    late = int(at(severity, 0.04, 0.08, 0.12, 0.2, 0.4) * SAMPLE_RATE)
    return lambda x: np.append(np.zeros(late, np.float32), x[:-late])


def _filtered(
    x: Waveform, passes: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]]
) -> Waveform:
    spectrum = np.fft.rfft(x)
    spectrum *= passes(np.linspace(0, SAMPLE_RATE / 2, len(spectrum)))
    return np.fft.irfft(spectrum, len(x)).astype(np.float32)


SOUND: dict[str, SoundMaker] = {
    "noise": _noise,
    "mp3": _mp3,
    "aac": _aac,
    "narrow_band": _narrow_band,
    "reverb": _reverb,
    "clipping": _clipping,
    "band_stop": _band_stop,
    "packet_loss": _packet_loss,
    "gain": _gain,
    "lag": _lag,
}
