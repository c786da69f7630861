"""Perturbations: severity 0 is nothing, more is worse, and known operators do what they say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from extractors.media import SAMPLE_RATE, SAMPLES_PER_STEP, Clip
from pipelines.stress.operators.sound import SOUND
from pipelines.stress.perturb import (
    CHAIN,
    MIXTURES,
    OPERATORS,
    PICTURE,
    SEVERITIES,
    TRIM,
    perturbed,
)

STEPS, HEIGHT, WIDTH = 6, 48, 64


# which frames come twice is chance; what is covered may be grey; tiles of 6 × 8 pixels saturate
NOT_ORDERED = {"frame_drop", "occlusion", "clahe"}


def picture() -> np.ndarray:
    """(6, 48, 64, 3) uint8: soft shapes that move, in colour, with some texture."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rng = np.random.default_rng(0)
    texture = rng.integers(-12, 12, (HEIGHT, WIDTH, 3))
    green, blue = 110 + 60 * np.cos(y / 7), 90 + 0.8 * x
    frames = [np.stack([120 + 80 * np.sin(x / 9 + t), green, blue + t], -1) for t in range(STEPS)]
    return np.clip(np.array(frames) + texture, 0, 255).astype(np.uint8)


def sound(steps: int = STEPS) -> np.ndarray:
    times = np.arange(steps * SAMPLES_PER_STEP) / SAMPLE_RATE
    wave = 0.3 * np.sin(2 * np.pi * 440 * times) + 0.1 * np.sin(2 * np.pi * 5200 * times)
    return wave.astype(np.float32)


def clips(pieces: int = 1, start: int = 0) -> list[Clip]:
    size = STEPS // pieces
    return [chunk(start + i, picture()[i : i + size], sound(), i) for i in range(0, STEPS, size)]


def chunk(start: int, frames: np.ndarray, waveform: np.ndarray, first: int) -> Clip:
    """Return a clip of the frames, with their part of the waveform from a step on."""
    samples = slice(first * SAMPLES_PER_STEP, (first + len(frames)) * SAMPLES_PER_STEP)
    return Clip(start, frames, waveform[samples])


def joined(name: str, severity: int, pieces: int = 1) -> tuple[np.ndarray, np.ndarray]:
    out = list(perturbed(clips(pieces), name, severity, "clip"))
    waveforms = [clip.waveform for clip in out if clip.waveform is not None]
    return np.concatenate([c.frames for c in out if c.frames is not None]), np.concatenate(
        waveforms
    )


def test_there_are_36_picture_operators_and_ten_of_sound() -> None:
    assert (len(PICTURE), len(SOUND)) == (36, 10)
    assert len(set(OPERATORS)) == 36 + 10 + 2 + 3


@pytest.mark.parametrize("name", OPERATORS)
def test_severity_0_is_the_identity_of_what_severity_5_changes_without_writing_into_it(
    name: str,
) -> None:
    waveform = sound()
    waveform[: 2 * SAMPLES_PER_STEP] = 0.0  # for the operator that cuts silence off
    given = [chunk(i, picture()[i : i + 3], waveform, i) for i in (0, 3)]
    before = [(clip.start, clip.frames.copy(), clip.waveform.copy()) for clip in given]
    unchanged = list(perturbed(given, name, 0, "clip"))
    assert all(one is other for one, other in zip(unchanged, given, strict=True))
    assert not same(list(perturbed(given, name, 5, "clip")), before)
    assert same(given, before)


def same(clips: list[Clip], others: list[tuple[int, np.ndarray, np.ndarray]]) -> bool:
    return len(clips) == len(others) and all(
        clip.start == start
        and np.array_equal(clip.frames, frames)
        and np.array_equal(clip.waveform, waveform)
        for clip, (start, frames, waveform) in zip(clips, others, strict=True)
    )


@pytest.mark.parametrize("name", PICTURE)
def test_every_severity_keeps_shape_and_type_and_changes_the_picture_alone(name: str) -> None:
    for severity in SEVERITIES:
        frames, waveform = joined(name, severity)
        assert (frames.shape, frames.dtype) == ((STEPS, HEIGHT, WIDTH, 3), np.uint8)
        assert np.array_equal(waveform, sound())
    assert not np.array_equal(frames, picture())  # of severity 5


@pytest.mark.parametrize("name", sorted(PICTURE.keys() - NOT_ORDERED))
def test_severity_5_is_farther_from_the_original_than_severity_1(name: str) -> None:
    weak, strong = (np.abs(joined(name, s)[0] - picture().astype(float)).mean() for s in (1, 5))
    assert strong > weak


@pytest.mark.parametrize("name", SOUND)
def test_sound_operators_leave_the_picture_and_get_worse(name: str) -> None:
    errors = []
    for severity in SEVERITIES:
        frames, waveform = joined(name, severity)
        assert np.array_equal(frames, picture())
        assert (waveform.shape, waveform.dtype) == (sound().shape, np.float32)
        assert np.abs(waveform).max() <= 1
        errors.append(float(np.square(waveform - sound()).mean()))
    assert errors[4] > 0
    if name not in ("packet_loss", "lag"):  # a lag of a whole period of a tone would be none
        assert errors[4] > errors[0]


@pytest.mark.parametrize(
    "name",
    ["gaussian_blur", "hue", "affine", "grid_distortion", "reverb", "lag", "narrow_band", CHAIN],
)
def test_what_is_drawn_for_a_clip_does_not_depend_on_its_chunks(name: str) -> None:
    whole, pieces = joined(name, 3), joined(name, 3, pieces=2)
    if name in (CHAIN, "narrow_band"):  # an encoder starts anew, a band's edge rings
        assert np.abs(whole[0] - pieces[0].astype(float)).mean() < 6
        assert np.abs(whole[1] - pieces[1]).mean() < 0.05
    else:
        assert np.array_equal(whole[0], pieces[0])
        assert np.allclose(whole[1], pieces[1], atol=1e-4)


@pytest.mark.parametrize("name", ["gaussian_noise", "affine", "noise", "mixture_of_3"])
def test_the_same_clip_is_perturbed_alike_and_another_differently(name: str) -> None:
    first, again = joined(name, 2), joined(name, 2)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    other = next(iter(perturbed(clips(), name, 2, "another")))
    assert not (np.array_equal(first[0], other.frames) and np.array_equal(first[1], other.waveform))


def test_a_shuffle_of_channels_is_undone_by_its_inverse() -> None:
    frames, _ = joined("channel_shuffle", 5)
    assert any(np.array_equal(frames[..., order], picture()) for order in ([1, 2, 0], [2, 0, 1]))


def test_two_half_turns_of_hue_are_none() -> None:
    half = list(perturbed(clips(), "hue", 5, "a"))
    (whole,) = perturbed(half, "hue", 5, "a")
    assert np.abs(whole.frames - picture().astype(int)).max() <= 3  # rounding, twice
    assert np.abs(half[0].frames - picture().astype(int)).max() > 50


def test_grey_has_no_colour_and_posterised_few_levels() -> None:
    grey, _ = joined("grey", 5)
    assert np.ptp(grey, axis=-1).max() == 0
    assert len(np.unique(joined("posterise", 5)[0])) <= 4


def test_a_dropped_frame_shows_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    out = joined("frame_drop", 5)[0]
    steps = [np.array_equal(a, b) for a, b in pairwise(out)]
    kept = [any(np.array_equal(frame, given) for given in picture()) for frame in out]
    assert any(steps)
    assert all(kept)


def test_narrow_band_takes_what_is_above_and_leaves_what_is_below() -> None:
    power = np.abs(np.fft.rfft(joined("narrow_band", 3)[1]))
    hertz = np.fft.rfftfreq(len(sound()), 1 / SAMPLE_RATE)
    before = np.abs(np.fft.rfft(sound()))
    low, high = (hertz > 400) & (hertz < 480), (hertz > 5100) & (hertz < 5300)
    assert power[low].sum() > 0.9 * before[low].sum()
    assert power[high].sum() < 0.1 * before[high].sum()


def test_sound_that_lags_comes_as_late_as_the_severity_says() -> None:
    pulse = np.zeros(25 * SAMPLES_PER_STEP, np.float32)
    pulse[1000] = 1.0
    (clip,) = perturbed([Clip(0, None, pulse)], "lag", 5)
    assert clip.waveform is not None
    assert clip.waveform.argmax() == 1000 + 0.4 * SAMPLE_RATE


def test_leading_silence_is_cut_off_picture_and_sound_alike() -> None:
    waveform = sound()
    waveform[: 4 * SAMPLES_PER_STEP] = 0.0001
    pieces = [chunk(10 + i, picture()[i : i + 3], waveform, i) for i in (0, 3)]
    (clip,) = perturbed(pieces, TRIM, 1)
    assert (clip.start, clip.steps) == (0, 2)
    assert np.array_equal(clip.frames, picture()[4:])
    silent = [Clip(0, picture(), np.zeros_like(waveform))]
    assert [c.steps for c in perturbed(silent, TRIM, 1)] == [1]


@pytest.mark.parametrize("name", MIXTURES)
def test_a_mixture_changes_the_picture(name: str) -> None:
    frames, _ = joined(name, 4)
    assert frames.shape == picture().shape
    assert not np.array_equal(frames, picture())


def test_what_is_unknown_is_told() -> None:
    with pytest.raises(ValueError, match="got 'sepia' and 1"):
        list(perturbed(clips(), "sepia", 1))
    with pytest.raises(ValueError, match="got 'hue' and 6"):
        list(perturbed(clips(), "hue", 6))


def test_a_clip_without_sound_or_without_picture_passes() -> None:
    (clip,) = perturbed([Clip(0, picture(), None)], CHAIN, 1)
    assert clip.waveform is None
    (clip,) = perturbed([Clip(0, None, sound())], CHAIN, 1)
    assert clip.frames is None
