"""Drawn tones, noises and clicks, of which every measurement is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from extractors.errors import InputError
from pipelines.challenge.compliance import CHALLENGES
from pipelines.challenge.voice_measures import VoiceMeasures, measure_voice, onset_times

RATE = 16_000
Sound = np.ndarray[Any, Any]


def times(seconds: float) -> Sound:
    return np.arange(round(seconds * RATE)) / RATE


def tone(hertz: float, seconds: float = 2.0) -> Sound:
    return (0.3 * np.sin(2 * np.pi * hertz * times(seconds))).astype(np.float32)


def buzz(hertz: float, seconds: float = 2.0) -> Sound:
    """All harmonics up to 6 kHz, of equal power."""
    ranks = np.arange(1, int(6000 / hertz))
    waves = np.sin(2 * np.pi * hertz * np.outer(ranks, times(seconds)) + ranks[:, None] ** 2)
    return (0.5 * waves.mean(axis=0)).astype(np.float32)


def noise(seconds: float = 2.0, seed: int = 0) -> Sound:
    return (0.1 * np.random.default_rng(seed).normal(size=round(seconds * RATE))).astype(np.float32)


def met(challenge: str, answer: Sound, baseline: Sound) -> bool:
    return CHALLENGES[challenge].complied(measure_voice(answer), measure_voice(baseline))


@pytest.mark.parametrize("hertz", [80, 100, 160, 320, 500, 640])
def test_the_pitch_of_a_buzz_is_its_fundamental(hertz: int) -> None:
    measured = measure_voice(buzz(hertz))
    assert measured.pitch == pytest.approx(hertz, rel=0.02)
    assert measured.voiced > 0.95


def test_noise_has_no_pitch_and_is_a_whisper_while_a_buzz_is_none() -> None:
    whispered = measure_voice(noise())
    assert whispered.pitch is None
    assert whispered.movement is None
    assert whispered.voiced < 0.05
    assert met("whisper", noise(), buzz(100))
    assert not met("whisper", buzz(100), buzz(100))


def test_the_voiced_share_of_half_noise_half_buzz_is_a_half() -> None:
    both = np.concatenate([noise(2), 0.7 * buzz(125, 2)])
    assert measure_voice(both).voiced == pytest.approx(0.5, abs=0.03)


def test_a_pitch_ratio_of_four_thirds_is_up_its_inverse_down_and_less_is_neither() -> None:
    low, high, near = buzz(100), buzz(100 * 4 / 3), buzz(112)
    assert met("pitch_up", high, low)
    assert met("pitch_down", low, high)
    for challenge, answer in (("pitch_up", near), ("pitch_down", near), ("pitch_up", noise())):
        assert not met(challenge, answer, low)


def test_the_centroid_of_two_tones_is_their_mean_and_its_movement_half_their_interval() -> None:
    one, two = tone(400), tone(1600)
    assert measure_voice(one + two).centroid == pytest.approx(1000, rel=0.02)
    moved = measure_voice(np.concatenate([tone(200), tone(800)])).movement
    assert moved == pytest.approx(1.0, abs=0.05)  # half of two octaves
    assert measure_voice(tone(200)).movement == pytest.approx(0.0, abs=0.02)


def test_a_low_steady_tone_is_a_hum_and_one_that_moves_or_is_bright_is_none() -> None:
    hum = tone(200) + 0.3 * tone(400)
    assert met("hum", hum, buzz(100))
    assert not met("hum", buzz(100), buzz(100))
    assert not met("hum", np.concatenate([tone(200), tone(750)]), buzz(100))
    assert not met("hum", noise(), buzz(100))


def test_the_tilt_is_the_ratio_of_low_to_high_power() -> None:
    flat, dull = tone(500) + tone(3000), tone(500) + 0.5 * tone(3000)
    assert measure_voice(flat).tilt == pytest.approx(0, abs=0.1)
    assert measure_voice(dull).tilt == pytest.approx(20 * np.log10(2), abs=0.1)
    assert met("cup", tone(500) + 0.49 * tone(3000), flat)
    assert not met("cup", tone(500) + 0.52 * tone(3000), flat)


@pytest.mark.parametrize("rate", [2, 3, 5])
def test_syllables_are_counted(rate: int) -> None:
    envelope = 0.525 - 0.475 * np.cos(2 * np.pi * rate * times(4))
    assert measure_voice((envelope * buzz(100, 4)).astype(np.float32)).rate == pytest.approx(
        rate, rel=0.1
    )


def test_five_syllables_a_second_are_faster_than_three_and_three_slower_than_five() -> None:
    three, five = (
        ((0.525 - 0.475 * np.cos(2 * np.pi * r * times(4))) * buzz(100, 4)).astype(np.float32)
        for r in (3, 5)
    )
    assert met("faster", five, three)
    assert met("slower", three, five)
    assert not met("faster", three, three)
    assert not met("slower", three, three)


CLAPS = (0.5, 1.2, 1.9)


def claps(rise: float, decay: float = 0.02) -> Sound:
    """Bursts of noise at `CLAPS`, over a murmur, that rise and decay in so many seconds."""
    sound = 0.003 * noise(3, seed=1)
    for begin in CLAPS:
        first = round(begin * RATE)
        after = np.arange(RATE // 5) / RATE
        shape = np.minimum(after / max(rise, 1e-9), 1) * np.exp(-after / decay)
        sound[first : first + len(after)] += 4 * shape * noise(0.2, seed=first)
    return sound.astype(np.float32)


def test_claps_are_found_where_they_are_and_slow_noises_or_tones_are_no_claps() -> None:
    assert onset_times(claps(0.0)) == pytest.approx(CLAPS, abs=0.005)
    assert len(onset_times(claps(0.06, 0.1))) == 0
    beeps = np.concatenate([np.zeros(8000), tone(300, 0.5), np.zeros(8000), tone(300, 0.5)])
    assert len(onset_times(beeps)) == 0


def test_two_claps_more_than_in_the_baseline_are_needed() -> None:
    speech = buzz(100, 2)
    assert met("clap", np.concatenate([claps(0.0), speech]), speech)
    once = np.concatenate([claps(0.0)[: round(1.1 * RATE)], speech])
    assert not met("clap", once, speech)


@pytest.mark.parametrize("sound", [np.zeros(32_000), np.zeros(0), tone(100, 0.5)])
def test_an_answer_in_which_too_little_is_heard_is_refused(sound: Sound) -> None:
    with pytest.raises(InputError, match=r"needs 1 s of audible sound, got \d\.\d s"):
        measure_voice(sound.astype(np.float32))


def test_every_challenge_names_its_sentence_or_is_hummed() -> None:
    without = {name for name, c in CHALLENGES.items() if "{sentence}" not in c.words}
    assert without == {"hum"}
    assert VoiceMeasures(**vars(measure_voice(buzz(100)))) == measure_voice(buzz(100))
