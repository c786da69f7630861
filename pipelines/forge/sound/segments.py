"""Sound forgeries: shifted, replaced or resynthesised stretches of a waveform.

Each function takes a waveform (S,) float32 at 16 kHz and returns a new one, equal to the old one
outside samples [start, stop). Old and new are cross-faded over at most `FADE` samples INSIDE the
interval, so labels and change agree to the sample.
"""

from __future__ import annotations

import numpy as np
import torch

from extractors.clip import Array
from extractors.clock import SAMPLE_RATE
from pipelines.forge.sound.text_to_speech import speak
from pipelines.forge.sound.vocoders import VOCODERS, to_spectrum, to_waveform
from pipelines.forge.sound.world import (
    change_voice,
    convert_voice,
    world_available,
    world_resynthesis,
)

FADE = 320  # samples, 20 ms: the longest cross-fade
CONTEXT = 3200  # samples around the interval that a vocoder also sees
HOP = 160  # samples, 10 ms: the grain of level measurements


def insert(waveform: Array, start: int, stop: int, sound: Array, fade: int = FADE) -> Array:
    """Return the waveform with a sound (stop - start,) in its place, cross-faded inside."""
    length = stop - start
    if len(sound) != length:
        raise ValueError(f"expected a sound of {length} samples, got {len(sound)}")
    fade = min(fade, length // 4)
    weight = np.ones(length, np.float32)
    rise = (np.arange(fade, dtype=np.float32) + 1) / (fade + 1)
    if start > 0:
        weight[:fade] = rise
    if stop < len(waveform):
        weight[length - fade :] = rise[::-1]
    forged = waveform.copy()
    mixed = (1 - weight) * waveform[start:stop] + weight * sound
    forged[start:stop] = np.clip(mixed, -1, 1)
    return forged


def levels(waveform: Array, hop: int = HOP) -> Array:
    """Return the root mean square (M,) of every hop; the last one is padded with zeros."""
    padded = np.pad(waveform, (0, -len(waveform) % hop)).reshape(-1, hop)
    return np.asarray(np.sqrt((padded.astype(np.float64) ** 2).mean(axis=1)), np.float32)


def active_level(waveform: Array) -> float:
    """Return the root mean square of a waveform's louder half: the level of its speech, if any."""
    loud = np.sort(levels(waveform))[len(waveform) // HOP // 2 :]
    return float(np.sqrt((loud**2).mean())) if len(loud) else 0.0


def match_level(
    sound: Array, reference: Array, rng: np.random.Generator, spread: float = 1.5
) -> Array:
    """Return a sound at a reference's level, with a random mismatch of `spread` dB (std. dev.)."""
    own, wanted = active_level(sound), active_level(reference)
    gain = np.clip(wanted / max(own, 1e-5), 0.02, 30) * 10 ** (rng.normal(0, spread) / 20)
    peak = float(np.abs(sound).max(initial=0)) * gain
    return np.asarray(sound * (gain / max(peak / 0.98, 1)), np.float32)


def shift_sound(
    waveform: Array, start: int, stop: int, rng: np.random.Generator, lag: int
) -> Array:
    """Return a waveform delayed by `lag` samples (early if negative) within the interval.

    At the waveform's ends the sound is mirrored; exclude them, or cut them off afterwards.
    """
    place = np.arange(start, stop) - lag
    period = max(2 * len(waveform) - 2, 1)
    place = np.abs((place + len(waveform) - 1) % period - (len(waveform) - 1))
    return insert(waveform, start, stop, waveform[place], _draw_fade(rng))


def splice_voice(waveform: Array, start: int, stop: int, rng: np.random.Generator) -> Array:
    """Return the waveform with another stretch of itself in the interval: same voice, other words.

    The interval itself is reversed if the waveform has no room for another stretch.
    """
    length = stop - start
    lowest, highest = start - length // 2, start + length // 2  # starts between overlap too much
    starts = np.arange(0, len(waveform) - length + 1, HOP)
    starts = starts[(starts <= lowest) | (starts >= highest)]
    if len(starts) == 0:
        sound = waveform[start:stop][::-1]
    else:
        tries = rng.choice(starts, min(4, len(starts)))
        best = max(tries, key=lambda s: active_level(waveform[s : s + length]))
        sound = waveform[best : best + length]
    sound = match_level(sound, waveform[start:stop], rng, 0.7) if rng.random() < 0.5 else sound
    return insert(waveform, start, stop, sound, _draw_fade(rng))


def replace_voice(
    waveform: Array, start: int, stop: int, rng: np.random.Generator, donor: Array
) -> Array:
    """Return the waveform with a stretch of a donor's speech (S',) in the interval."""
    sound = take_stretch(donor, stop - start, rng)
    return _settle(waveform, start, stop, sound, rng)


def synthetic_voice(waveform: Array, start: int, stop: int, rng: np.random.Generator) -> Array:
    """Return the waveform with text-to-speech in the interval; needs a synthesiser on PATH."""
    sound = speak(rng, (stop - start) / SAMPLE_RATE)[: stop - start]
    return _settle(waveform, start, stop, sound, rng)


def _settle(
    waveform: Array, start: int, stop: int, sound: Array, rng: np.random.Generator
) -> Array:
    """Return the waveform with a foreign sound inserted, loosely matched to the recording."""
    if rng.random() < 0.25:
        sound = reverberate(sound, rng)
    if rng.random() < 0.5:  # the room's own noise continues underneath
        quiet = background(waveform, len(sound), rng)
        sound = match_level(sound, waveform, rng) + quiet
    else:
        sound = match_level(sound, waveform, rng)
    return insert(waveform, start, stop, sound, _draw_fade(rng))


def resynthesise(
    waveform: Array,
    start: int,
    stop: int,
    rng: np.random.Generator,
    strength: float = 0.5,
    kind: str | None = None,
) -> Array:
    """Return the waveform with the interval resynthesised by a vocoder: same words, same voice.

    kind: a name of `VOCODERS` or "world"; random if None, sometimes two in a row.
    """
    kinds = [*VOCODERS, "world", "world"] if world_available() else list(VOCODERS)
    chosen = [kind or str(rng.choice(kinds))]
    if kind is None and chosen[0] != "upsampling_images" and rng.random() < 0.3:
        chosen.append("upsampling_images")
    left = max(start - CONTEXT, 0)
    sound = waveform[left : stop + CONTEXT]
    for name in chosen:
        vocoder = world_resynthesis if name == "world" else VOCODERS[name]
        sound = vocoder(sound, rng, strength)
    sound = match_level(sound[start - left : stop - left], waveform[start:stop], rng, 0.4)
    return insert(waveform, start, stop, sound, _draw_fade(rng))


def revoice(
    waveform: Array,
    start: int,
    stop: int,
    rng: np.random.Generator,
    strength: float = 0.5,
    donor: Array | None = None,
) -> Array:
    """Return the waveform with the interval's voice changed, towards a donor's (S',) if given."""
    left = max(start - CONTEXT, 0)
    sound = waveform[left : stop + CONTEXT]
    if donor is None:
        sound = change_voice(sound, rng, strength)
    else:
        sound = convert_voice(sound, donor, rng, strength)
    sound = match_level(sound[start - left : stop - left], waveform[start:stop], rng, 0.7)
    return insert(waveform, start, stop, sound, _draw_fade(rng))


def take_stretch(donor: Array, length: int, rng: np.random.Generator) -> Array:
    """Return a loud stretch (length,) of a donor's sound, repeated if it is too short."""
    if len(donor) < length:
        turned = np.concatenate([donor, donor[::-1]])  # mirrored, so that repeats do not jump
        return np.resize(turned, length).astype(np.float32)
    starts = rng.integers(0, len(donor) - length + 1, 4)
    best = max(starts, key=lambda s: active_level(donor[s : s + length]))
    return donor[best : best + length]


def background(waveform: Array, samples: int, rng: np.random.Generator) -> Array:
    """Return noise (samples,) that sounds like the waveform's quietest tenth."""
    hop = 256
    power = to_spectrum(waveform, 4 * hop, hop).abs().square()
    loudness = power.sum(dim=0)
    quiet = power[:, loudness <= torch.quantile(loudness, 0.1)].mean(dim=1).sqrt()
    shape = (len(quiet), samples // hop + 5)
    # Independent frames lose half of their level as they overlap.
    noise = torch.from_numpy(rng.normal(0, 2 * np.sqrt(0.5), (*shape, 2)).astype(np.float32))
    return to_waveform(quiet[:, None] * torch.view_as_complex(noise), hop, samples)


def reverberate(sound: Array, rng: np.random.Generator) -> Array:
    """Return a sound (S,) with the reverberation of a random small room."""
    decay = float(rng.uniform(0.08, 0.4))  # seconds to -60 dB
    length = int(decay * SAMPLE_RATE)
    tail = rng.normal(size=length) * 10 ** (-3 * np.arange(length) / length)
    tail *= float(rng.uniform(0.1, 0.5)) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    size = len(sound) + length
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(tail, size), size)
    return np.asarray(wet[: len(sound)], np.float32)


def _draw_fade(rng: np.random.Generator) -> int:
    return int(np.exp(rng.uniform(np.log(16), np.log(FADE))))
