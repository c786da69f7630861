"""Text-to-speech by the synthesisers on PATH: espeak-ng and flite."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import wave
from functools import lru_cache
from pathlib import Path

import numpy as np

from extractors.clip import Array
from extractors.clock import SAMPLE_RATE

ENGINES = ("espeak-ng", "flite")
TIMEOUT = 20.0  # seconds for a sentence or two
SYLLABLES_A_SECOND = 4.0
# A sentence has a subject, an action and an object, and sometimes an opening and an ending.
PHRASES = """
I think, we know that, nobody said, yesterday, in the end, as you can see, to be honest, last year,
of course, he told me that, they believe, it is clear that, for now, by the way

the new plan, my brother, the old house, every student, this small city, the government, our team,
the weather, a young doctor, the whole country, that story, her mother, the first question,
the market, a good friend, the water, their music, the morning train, the other side

will change, never found, has always needed, could explain, wants to build, brought back,
should remember, opened, did not understand, is looking for, paid for, can hear, gave up,
almost lost, would rather keep, talked about, turned into, asked for

a better answer, the long road, fifty dollars, something useful, the last chapter, many problems,
a quiet place, the white door, enough time, the blue car, an early breakfast, the truth,
seven large boxes, a strange picture, the next election, all of the children, a cup of coffee

before the winter, on Thursday, without any reason, at the same time, near the river, again,
for the very first time, in just a few hours, with great care, as soon as possible, together
"""
OPENINGS, SUBJECTS, ACTIONS, OBJECTS, ENDINGS = (
    block.replace("\n", " ").split(", ") for block in PHRASES.strip().split("\n\n")
)
# espeak-ng's voices: accents of English and other languages, which only change the sounds.
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-029", "de", "fr", "es", "it", "nl", "pt", "sv")
VARIANTS = ("", "+f1", "+f2", "+f3", "+f4", "+f5", "+m1", "+m2", "+m3", "+m4", "+m5", "+m7")
FLITE_VOICES = ("slt", "rms", "awb", "kal16", "kal")


def engines() -> tuple[str, ...]:
    """Return the speech synthesisers on PATH."""
    return tuple(name for name in ENGINES if shutil.which(name))


def draw_sentence(rng: np.random.Generator) -> str:
    """Return a random English sentence of about ten words."""
    parts = [str(rng.choice(p)) for p in (SUBJECTS, ACTIONS, OBJECTS)]
    if rng.random() < 0.5:
        parts.insert(0, str(rng.choice(OPENINGS)))
    if rng.random() < 0.5:
        parts.append(str(rng.choice(ENDINGS)))
    text = " ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def speak(rng: np.random.Generator, seconds: float) -> Array:
    """Return at least `seconds` of synthetic speech (S,) at 16 kHz, without leading silence.

    Raises:
        RuntimeError: no synthesiser is on PATH, or it failed.
    """
    installed = engines()
    if not installed:
        raise RuntimeError(f"expected one of {', '.join(ENGINES)} on PATH, found none")
    engine = str(rng.choice(installed))
    voice = _draw_voice(engine, rng)
    pieces: list[Array] = []
    while sum(len(p) for p in pieces) < seconds * SAMPLE_RATE:
        missing = seconds - sum(len(p) for p in pieces) / SAMPLE_RATE
        count = max(int(missing * SYLLABLES_A_SECOND / 12), 1)
        text = " ".join(draw_sentence(rng) for _ in range(count))
        pieces.append(_trim(_run(engine, voice, text)))
    return np.concatenate(pieces)


def _draw_voice(engine: str, rng: np.random.Generator) -> list[str]:
    """Return the options of a random voice, speed and pitch."""
    if engine == "espeak-ng":
        voice = str(rng.choice(ACCENTS)) + str(rng.choice(VARIANTS))
        speed, pitch = int(rng.integers(130, 201)), int(rng.integers(25, 76))
        return ["-v", voice, "-s", str(speed), "-p", str(pitch)]
    stretch, pitch = rng.uniform(0.85, 1.2), int(rng.integers(80, 221))
    options = ["-voice", str(rng.choice(flite_voices()))]
    options += ["--setf", f"duration_stretch={stretch:.2f}"]
    return [*options, "--setf", f"int_f0_target_mean={pitch}"]


@lru_cache(maxsize=1)
def flite_voices() -> tuple[str, ...]:
    """Return those of FLITE_VOICES that the installed flite was built with."""
    listed = subprocess.run(
        ["flite", "-lv"], capture_output=True, text=True, timeout=TIMEOUT, check=False
    ).stdout.split()
    return tuple(voice for voice in FLITE_VOICES if voice in listed) or ("kal",)


def _run(engine: str, voice: list[str], text: str) -> Array:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        if engine == "espeak-ng":
            command = [engine, *voice, "-w", str(path), text]
        else:
            command = [engine, *voice, "-t", text, "-o", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        if done.returncode != 0 or not path.exists():
            raise RuntimeError(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-200:]}")
        return _read_wave(path)


def _read_wave(path: Path) -> Array:
    """Return a 16-bit mono WAV file's samples (S,) at 16 kHz."""
    from torch import from_numpy
    from torchaudio.functional import resample

    with wave.open(str(path)) as file:
        rate, data = file.getframerate(), file.readframes(file.getnframes())
    samples = np.frombuffer(data, np.int16).astype(np.float32) / 32768
    resampled: Array = resample(from_numpy(samples), rate, SAMPLE_RATE).numpy()
    return resampled


def _trim(speech: Array) -> Array:
    """Return speech without leading silence and with at most 1/8 s of trailing silence."""
    loud = np.flatnonzero(np.abs(speech) > 0.02 * max(float(np.abs(speech).max(initial=0)), 1e-6))
    if len(loud) == 0:
        raise RuntimeError("the synthesiser gave silence")
    return speech[loud[0] : loud[-1] + SAMPLE_RATE // 8]
