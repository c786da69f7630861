from __future__ import annotations

import stat
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.forge.segments import keep_audible, speaking, to_samples
from pipelines.forge.sound import text_to_speech as forge_speech
from pipelines.forge.sound.segments import (
    FADE,
    active_level,
    background,
    insert,
    levels,
    match_level,
    replace_voice,
    resynthesise,
    reverberate,
    revoice,
    shift_sound,
    splice_voice,
    synthetic_voice,
    take_stretch,
)
from pipelines.forge.sound.text_to_speech import draw_sentence, engines, speak
from pipelines.forge.sound.vocoders import (
    VOCODERS,
    mel_magnitude,
    prediction_envelope,
    pulses_and_noise,
    to_spectrum,
    to_waveform,
    track_pitch,
)
from pipelines.forge.sound.world import (
    analyse,
    change_voice,
    convert_voice,
    move_formants,
)

RATE = 16_000
START, STOP = 9_001, 26_345


def voice(seconds: float, pitch: float = 120.0, seed: int = 0) -> np.ndarray[Any, Any]:
    """(S,) float32: syllables of a buzz with two formants, a rest after each third, in noise."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.05 * np.sin(5 * times))) / RATE
    vowel = np.take(rng.uniform(400, 900, 200), (times / 0.2).astype(int))
    sound = np.zeros_like(times)
    for k in range(1, 30):
        gain = 1 / (1 + ((k * pitch - vowel) / 150) ** 2) + 0.4 / (
            1 + ((k * pitch - 2200) / 200) ** 2
        )
        sound += gain * np.sin(k * phase)
    loud = np.sin(np.pi * times / 0.2) ** 2 * ((times // 0.2) % 4 != 3)
    return (0.1 * sound * loud + rng.normal(0, 2e-3, len(times))).astype(np.float32)


@pytest.fixture(scope="module")
def speech() -> np.ndarray[Any, Any]:
    sound = voice(2.2)
    sound.flags.writeable = False
    return sound


@pytest.fixture
def fake_synthesiser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An espeak-ng, alone on PATH, that says the same second whatever it is asked to say."""
    recording = tmp_path / "said.wav"
    with wave.open(str(recording), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22_050)
        said = np.concatenate([np.zeros(4000), 0.3 * np.sin(np.arange(22_050) / 10)])
        file.writeframes((said * 32767).astype("<i2").tobytes())
    program = tmp_path / "espeak-ng"
    program.write_text(
        f'#!/bin/sh\nwhile [ "$1" != "-w" ]; do shift; done\n/bin/cp "{recording}" "$2"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    return program


def with_vocoder(kind: str) -> Callable[..., Any]:
    return lambda w, a, b, rng: resynthesise(w, a, b, rng, 0.5, kind)


FORGERIES: dict[str, Callable[..., Any]] = {
    "shift": lambda w, a, b, rng: shift_sound(w, a, b, rng, 4_000),
    "splice": splice_voice,
    "replace": lambda w, a, b, rng: replace_voice(w, a, b, rng, voice(1.5, 210, 5)),
    **{f"vocoder {kind}": with_vocoder(kind) for kind in VOCODERS},
}
WORLD_FORGERIES: dict[str, Callable[..., Any]] = {
    "vocoder world": with_vocoder("world"),
    "change": lambda w, a, b, rng: revoice(w, a, b, rng, 0.5),
    "convert": lambda w, a, b, rng: revoice(w, a, b, rng, 0.5, voice(1.0, 210, 5)),
}


def check_change(before, after, start, stop):
    """Assert that exactly the samples from start to stop are forged, and every step of them."""
    assert after.dtype == np.float32
    assert np.abs(after).max() <= 1
    assert np.array_equal(before[:start], after[:start])
    assert np.array_equal(before[stop:], after[stop:])
    change = np.abs(after - before)[start:stop]
    for step in range(0, len(change) - 640, 320):
        assert change[step : step + 640].max() > 0


@pytest.mark.parametrize("name", FORGERIES)
@pytest.mark.parametrize(
    ("start", "stop"), [(START, STOP), (0, 35_200), (0, 3_300), (31_000, 35_200)]
)
def test_exactly_the_samples_of_the_interval_change(
    name: str, start: int, stop: int, speech: np.ndarray[Any, Any]
) -> None:
    forged = FORGERIES[name](speech, start, stop, np.random.default_rng(1))
    check_change(speech, forged, start, stop)


@pytest.mark.world
@pytest.mark.parametrize("name", WORLD_FORGERIES)
@pytest.mark.parametrize(("start", "stop"), [(START, STOP), (0, 35_200), (0, 3_300)])
def test_exactly_the_samples_of_the_interval_change_by_world(
    name: str, start: int, stop: int, speech: np.ndarray[Any, Any]
) -> None:
    forged = WORLD_FORGERIES[name](speech, start, stop, np.random.default_rng(1))
    check_change(speech, forged, start, stop)


def test_exactly_the_samples_of_the_interval_change_to_synthetic_speech(
    fake_synthesiser: Path, speech: np.ndarray[Any, Any]
) -> None:
    forged = synthetic_voice(speech, START, STOP, np.random.default_rng(1))
    check_change(speech, forged, START, STOP)


@pytest.mark.parametrize(
    "name", ["splice", "replace", "vocoder griffin_lim", "vocoder rough_phase"]
)
def test_the_same_seed_gives_the_same_sound(name: str, speech: np.ndarray[Any, Any]) -> None:
    a, b, c = (
        FORGERIES[name](speech, START, STOP, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_old_and_new_are_cross_faded_inside_the_interval() -> None:
    before, sound = np.zeros(1000, np.float32), np.ones(400, np.float32)
    forged = insert(before, 300, 700, sound, fade=3)
    assert forged[298:305] == pytest.approx([0, 0, 0.25, 0.5, 0.75, 1, 1])
    assert forged[695:702] == pytest.approx([1, 1, 0.75, 0.5, 0.25, 0, 0])
    whole = insert(before, 0, 1000, np.ones(1000, np.float32), fade=3)
    assert (whole == 1).all()  # nothing to fade from at the ends


def test_a_sound_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="400 samples, got 399"):
        insert(np.zeros(1000, np.float32), 300, 700, np.zeros(399, np.float32))


@pytest.mark.parametrize("lag", [3_200, -8_000])
def test_shifted_sound_is_late_by_the_lag(lag: float, speech: np.ndarray[Any, Any]) -> None:
    start, stop = 10_000, 20_000
    forged = shift_sound(speech, start, stop, np.random.default_rng(0), lag)
    inner = slice(start + FADE, stop - FADE)
    assert np.array_equal(forged[inner], speech[inner.start - lag : inner.stop - lag])


def test_a_splice_is_another_stretch_of_the_same_recording(speech: np.ndarray[Any, Any]) -> None:
    rng = np.random.default_rng(3)
    length = 6_000
    forged = splice_voice(speech, 20_000, 20_000 + length, rng)[20_000 + FADE : 26_000 - FADE]
    energy = np.convolve(speech.astype(float) ** 2, np.ones(len(forged)), mode="valid")
    match = np.correlate(speech, forged, mode="valid")
    match = match / np.sqrt(energy) / np.linalg.norm(forged)
    assert match.max() > 0.999
    assert abs(int(match.argmax()) - 20_000 - FADE) >= length // 2


def test_a_sound_is_made_as_loud_as_its_surroundings(speech: np.ndarray[Any, Any]) -> None:
    quiet = 0.05 * voice(1.0, 200, 3)
    matched = match_level(quiet, speech, np.random.default_rng(0), spread=0)
    assert active_level(matched) == pytest.approx(active_level(speech), rel=0.02)
    spread = [
        20 * np.log10(active_level(match_level(quiet, speech, np.random.default_rng(s), 2.0)))
        for s in range(200)
    ]
    assert np.std(spread) == pytest.approx(2, rel=0.25)


def test_matching_a_level_never_clips(speech: np.ndarray[Any, Any]) -> None:
    assert np.abs(match_level(speech, 50 * speech, np.random.default_rng(0))).max() <= 0.981


@pytest.mark.parametrize("length", [5_000, 16_000, 40_000])
def test_a_donor_of_any_length_fills_the_interval(length: int) -> None:
    donor = voice(1.0, 200, 4)
    taken = take_stretch(donor, length, np.random.default_rng(0))
    assert taken.shape == (length,)
    assert active_level(taken) > 0.5 * active_level(donor)


def test_background_is_as_loud_as_the_quiet_parts(speech: np.ndarray[Any, Any]) -> None:
    quiet = np.sort(levels(speech))[: len(levels(speech)) // 10].mean()
    noise = background(speech, 20_000, np.random.default_rng(0))
    assert noise.shape == (20_000,)
    assert levels(noise).mean() == pytest.approx(quiet, rel=0.4)


def test_a_room_keeps_the_direct_sound_in_place() -> None:
    click = np.zeros(4_000, np.float32)
    click[100] = 1
    wet = reverberate(click, np.random.default_rng(0))
    assert wet[100] == pytest.approx(1, abs=0.01)
    assert np.abs(wet[:99]).max() < 1e-3
    assert 0.1 < np.linalg.norm(wet[101:]) < 0.55


@pytest.mark.parametrize("samples", [100, 1_000, 4_096, 12_345])
def test_a_spectrum_goes_back_into_its_waveform(samples: int) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    back = to_waveform(to_spectrum(sound, 512, 128), 128, samples)
    assert back.shape == sound.shape
    assert np.allclose(back, sound, atol=1e-4)


def loudness(sound: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.log(levels(sound, 320) + 1e-3)


@pytest.mark.parametrize("kind", VOCODERS)
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_vocoder_keeps_the_words_in_place(
    kind: str, strength: float, speech: np.ndarray[Any, Any]
) -> None:
    said = VOCODERS[kind](speech, np.random.default_rng(0), strength)
    assert said.shape == speech.shape
    assert said.dtype == np.float32
    assert np.isfinite(said).all()
    assert np.corrcoef(loudness(said), loudness(speech))[0, 1] > 0.85


@pytest.mark.world
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_world_keeps_the_words_in_place(strength: float, speech: np.ndarray[Any, Any]) -> None:
    rng = np.random.default_rng(0)
    for said in (
        change_voice(speech, rng, strength),
        convert_voice(speech, voice(1.0, 220, 5), rng, strength),
        resynthesise(speech, 0, len(speech), rng, strength, "world"),
    ):
        assert np.corrcoef(loudness(said), loudness(speech))[0, 1] > 0.85


@pytest.mark.world
def test_a_converted_voice_has_the_donors_pitch(speech: np.ndarray[Any, Any]) -> None:
    said = convert_voice(speech, voice(1.5, 200, 5), np.random.default_rng(0), 0.5)
    pitch = analyse(said).pitch
    assert np.median(pitch[pitch > 0]) == pytest.approx(200, rel=0.12)


def test_without_pyworld_its_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, speech: np.ndarray[Any, Any]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyworld", None)
    with pytest.raises(ImportError, match=r"avdetect\[train\]"):
        analyse(speech)


def test_formants_rise_by_the_stretch() -> None:
    bins = np.arange(513)
    envelope = np.exp(-(((bins - 100) / 12.0) ** 2))[None] + 1e-9
    assert int(move_formants(envelope, 1.2)[0].argmax()) == 120
    assert np.allclose(move_formants(envelope, 1.0), envelope)


def test_linear_prediction_finds_a_poles_own_envelope() -> None:
    frequency = np.linspace(0, np.pi, 257)
    envelope = 1 / np.abs(1 - 0.9 * np.exp(-1j * frequency))
    power = torch.from_numpy((envelope**2).astype(np.float32))[:, None].repeat(1, 3)
    found = prediction_envelope(power, 4).numpy()
    assert found.shape == (257, 3)
    assert np.allclose(found[:, 1], envelope, rtol=0.05)


@pytest.mark.parametrize("pitch", [90.0, 140.0, 260.0])
def test_the_pitch_of_pulses_is_found_again(pitch: float) -> None:
    frames = np.full(100, pitch, np.float32)
    rng = np.random.default_rng(0)
    sound = pulses_and_noise(frames, np.ones(100, np.float32), 16_000, rng, 0.01)
    throat = np.hanning(14)  # pulses sit on whole samples, voices do not
    found, periodic = track_pitch(np.convolve(sound, throat, mode="same").astype(np.float32))
    assert np.median(found) == pytest.approx(pitch, rel=0.03)
    assert np.median(periodic) > 0.6
    noise = pulses_and_noise(frames, np.zeros(100, np.float32), 16_000, rng, 0.0)
    assert np.median(track_pitch(noise)[1]) < 0.5


def test_a_mel_spectrum_of_many_bands_tells_more() -> None:
    magnitude = to_spectrum(voice(0.5), 1024, 256).abs()
    few, many = (
        float((mel_magnitude(magnitude, bands, 1024, 8000.0) - magnitude).abs().mean())
        for bands in (40, 128)
    )
    assert many < few


def test_spoken_sentences_are_as_long_as_wanted_and_start_at_once(fake_synthesiser: Path) -> None:
    sound = speak(np.random.default_rng(0), 2.5)
    assert len(sound) >= 2.5 * RATE
    assert np.abs(sound[:400]).max() > 0.1


def test_without_a_synthesiser_on_path_its_names_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engines() == ()
    with pytest.raises(RuntimeError, match="espeak-ng, flite on PATH, found none"):
        speak(np.random.default_rng(0), 1.0)


def test_a_synthesiser_that_fails_is_reported(fake_synthesiser: Path) -> None:
    fake_synthesiser.write_text("#!/bin/sh\necho no such voice >&2\nexit 3\n")
    with pytest.raises(RuntimeError, match="no such voice"):
        speak(np.random.default_rng(0), 1.0)


@pytest.mark.skipif(not forge_speech.engines(), reason="no speech synthesiser on PATH")
def test_the_synthesisers_of_this_machine_speak() -> None:
    for seed in range(3):
        assert len(speak(np.random.default_rng(seed), 0.5)) >= RATE // 2


def test_sentences_differ_and_end() -> None:
    rng = np.random.default_rng(0)
    sentences = {draw_sentence(rng) for _ in range(50)}
    assert len(sentences) > 45
    assert all(s[0].isupper() and s.endswith(".") for s in sentences)


def test_silence_in_place_of_silence_is_no_forgery() -> None:
    before = np.concatenate([voice(1.0), np.zeros(16_000, np.float32)])
    after = before.copy()
    after[20_000:28_000] += 1e-5 * np.random.default_rng(0).normal(size=8_000).astype(np.float32)
    forged, kept = keep_audible(before, after, [(20_000, 28_000)])
    assert kept == []
    assert np.array_equal(forged, before)


def test_a_forgery_is_declared_only_where_it_is_heard() -> None:
    before = np.concatenate([voice(1.0), np.zeros(16_000, np.float32)])
    after = before.copy()
    after[8_000:24_000] = -0.5 * before[8_000:24_000]
    after[23_000:24_000] += 1e-6  # inaudible
    forged, kept = keep_audible(before, after, [(8_000, 24_000)])
    assert len(kept) == 1
    start, stop = kept[0]
    assert start == pytest.approx(8_000, abs=640)
    assert stop == pytest.approx(16_000, abs=640)
    check_change(before, forged, start, stop)


def test_a_gap_in_a_forgery_splits_it() -> None:
    before = voice(2.0)
    after = before.copy()
    after[4_000:12_000] *= -1
    after[14_000:22_000] *= -1
    _, kept = keep_audible(before, after, [(4_000, 22_000)])
    assert [round(edge, -3) for span in kept for edge in span] == [4_000, 12_000, 14_000, 22_000]


def test_speech_is_told_from_pauses() -> None:
    sound = np.concatenate([np.zeros(16_000, np.float32), voice(1.0), np.zeros(16_000, np.float32)])
    active = speaking(sound, 75)
    assert active.shape == (75,)
    assert not active[:25].any()
    assert not active[52:].any()
    assert active[26:39].all()


def test_an_edge_moves_little_and_the_clips_ends_stay(speech: np.ndarray[Any, Any]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        start, stop = to_samples((10, 40), speech, rng)
        assert abs(start - 6_400) <= 1_280
        assert abs(stop - 25_600) <= 1_280
    assert to_samples((0, 55), speech, rng) == (0, len(speech))
