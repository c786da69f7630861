"""Drawn clips: what they say of themselves is true, and an artefact changes its own cue alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from extractors.clock import SAMPLES_PER_STEP, STEP_RATE
from extractors.crops import RIGID, crop_squares
from extractors.faces import track_faces
from extractors.flow import FlowExtractor, dis_flow
from extractors.lips import INNER, lip_opening
from pipelines.cues.drawn_clips import (
    FACE,
    FACES,
    GRAIN,
    SIDE,
    Drawing,
    draw,
    genuine,
    mesh_at_rest,
    streams_of,
)
from pipelines.cues.drawn_forgeries import ARTEFACTS, CARRIERS, LAGS, PIXELS

STEPS = 16
PAINTED = [name for name, carriers in CARRIERS.items() if carriers == PIXELS]
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def mesh(face_frames: Array) -> Array:
    return mesh_at_rest(track_faces(face_frames[:5])[0].landmarks[0])


@pytest.fixture(scope="module")
def drawing(mesh: Array) -> Drawing:
    return draw(np.random.default_rng(3), mesh, STEPS)


@pytest.fixture(scope="module")
def untouched(drawing: Drawing) -> dict[str, torch.Tensor]:
    return streams_of(genuine(drawing))


def step_power(waveform: Array) -> Array:
    return np.sqrt((waveform.reshape(-1, SAMPLES_PER_STEP) ** 2).mean(axis=1))


def best_lag(leader: Array, follower: Array, reach: int = 12) -> int:
    """Return by how many steps the follower comes after the leader where they fit best."""
    middle = slice(reach, len(leader) - reach)
    fits = [
        np.corrcoef(leader[middle], np.roll(follower, -lag)[middle])[0, 1]
        for lag in range(-reach, reach + 1)
    ]
    return int(np.argmax(fits)) - reach


def test_the_same_seed_draws_the_same_clip(mesh: Array, drawing: Drawing) -> None:
    again = draw(np.random.default_rng(3), mesh, STEPS)
    other = draw(np.random.default_rng(4), mesh, STEPS)
    assert np.array_equal(drawing.frames, again.frames)
    assert np.array_equal(drawing.heard(), again.heard())
    assert not np.array_equal(drawing.frames, other.frames)


def test_the_camera_adds_noise_of_a_known_size_that_neighbours_share(drawing: Drawing) -> None:
    noise = drawing.frames.astype(float) - drawing.clean
    assert noise.std() == pytest.approx(np.hypot(GRAIN, 1 / np.sqrt(12)), rel=0.05)
    neighbours = np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1]
    assert neighbours > 0.2


def test_flow_on_the_head_is_the_motion_that_was_drawn(drawing: Drawing) -> None:
    flow = FlowExtractor(dis_flow())(drawing.frames)
    points = np.stack(np.meshgrid(np.linspace(-15, 15, 7), np.linspace(-30, 5, 7)), -1)
    points = points.reshape(-1, 2)  # of the head at rest, above its mouth
    places = np.einsum("tij,kj->tki", drawing.poses[..., :2], points) + drawing.poses[:, None, :, 2]
    known = np.diff(places, axis=0) * STEP_RATE / SIDE  # frame widths a second
    cells = (places[1:] * 56 / SIDE).astype(int)
    steps = np.arange(1, STEPS)[:, None]
    measured = np.moveaxis(flow, 1, -1)[steps, cells[..., 1], cells[..., 0]]
    seen, drawn = np.median(measured, axis=1), np.median(known, axis=1)  # (T - 1, 2)
    assert np.abs(drawn).max() > 0.05  # 0.25 pixels a step
    assert np.sqrt(((seen - drawn) ** 2).mean()) < 0.3 * np.sqrt((drawn**2).mean())
    assert np.abs((seen - drawn).mean(axis=0)).max() < 0.008


def test_the_open_mouth_is_dark_where_the_inner_lips_are(mesh: Array) -> None:
    long = draw(np.random.default_rng(5), mesh, 40)
    widest = int(long.opening.argmax())
    assert long.opening[widest] > 0.5
    lips = long.seen()[widest, list(INNER), :2]
    x, y = lips.mean(axis=0).astype(int)
    assert long.clean[widest, y, x].max() < 60  # the throat
    assert lip_opening(streams_of(genuine(long))["landmarks"].numpy()).argmax() == widest


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lips_open_with_the_sound_and_a_lag_moves_them_apart(mesh: Array, seed: int) -> None:
    long = draw(np.random.default_rng(seed), mesh, 100)
    late = ARTEFACTS["lag"](long, np.random.default_rng(seed))
    opening = lip_opening(streams_of(late)["landmarks"].numpy())
    lag = int(np.random.default_rng(seed).integers(LAGS[0], LAGS[1] + 1))
    assert best_lag(opening, step_power(long.heard())) == 0
    assert best_lag(opening, step_power(late.waveform)) == lag
    assert np.array_equal(late.waveform[lag * SAMPLES_PER_STEP :],
                          long.heard()[: -lag * SAMPLES_PER_STEP])  # fmt: skip


@pytest.mark.parametrize("name", PAINTED)
def test_pixels_differ_only_inside_the_mask_and_the_interval(drawing: Drawing, name: str) -> None:
    clip = ARTEFACTS[name](drawing, np.random.default_rng(1))
    differs = (clip.frames != drawing.frames).any(axis=-1)
    start, stop = clip.interval
    assert not differs[~clip.mask].any()
    assert not clip.mask[:start].any()
    assert not clip.mask[stop:].any()
    assert clip.mask[start:stop].any(axis=(1, 2)).all()
    assert differs[clip.mask].mean() > 0.6


@pytest.mark.parametrize("name", list(ARTEFACTS))
def test_an_artefact_leaves_all_other_streams_alone_bit_for_bit(
    drawing: Drawing, untouched: dict[str, torch.Tensor], name: str
) -> None:
    streams = streams_of(ARTEFACTS[name](drawing, np.random.default_rng(1)))
    changed = {n for n in streams if not torch.equal(streams[n], untouched[n])}
    assert changed == set(CARRIERS[name])


def test_depth_swings_below_the_nose_and_the_crop_stays_where_it_was(drawing: Drawing) -> None:
    clip = ARTEFACTS["depth"](drawing, np.random.default_rng(1))
    assert np.array_equal(
        crop_squares(clip.landmarks, FACES), crop_squares(drawing.landmarks, FACES)
    )
    moved = (clip.landmarks - drawing.landmarks)[FACES.radius : -FACES.radius]
    assert not moved[..., :2].any()
    start, stop = clip.interval
    assert not moved[:start].any()
    assert not moved[stop:].any()
    chin, brow = moved[start:stop, 152, 2], moved[start:stop, 10, 2]
    assert not brow.any()
    assert 0.01 * FACE < chin.std() < 0.06 * FACE


def test_the_relief_flickers_as_a_whole_and_the_crop_stays_where_it_was(drawing: Drawing) -> None:
    clip = ARTEFACTS["relief"](drawing, np.random.default_rng(1))
    assert np.array_equal(
        crop_squares(clip.landmarks, FACES), crop_squares(drawing.landmarks, FACES)
    )
    inside = slice(FACES.radius + clip.interval[0], FACES.radius + clip.interval[1])
    own, moved = drawing.landmarks[inside], (clip.landmarks - drawing.landmarks)[inside]
    assert not moved[..., :2].any()
    loose = [i for i in range(478) if i not in RIGID]
    away = own[:, loose, 2] - own[:, list(RIGID), 2].mean(axis=1, keepdims=True)
    scales = (moved[:, loose, 2] * away).sum(axis=1) / (away**2).sum(axis=1)
    assert np.abs(moved[:, loose, 2] - scales[:, None] * away).max() < 1e-3  # one scale a step
    assert 0.05 < scales.std() < 0.3


def test_a_generator_leaves_nothing_of_the_camera_anywhere(drawing: Drawing) -> None:
    clip = ARTEFACTS["full"](drawing, np.random.default_rng(1))
    assert clip.interval == (0, STEPS)
    assert clip.mask.all()
    noise = drawing.frames - drawing.clean
    left = (clip.frames - drawing.clean) * noise  # of what the camera added
    assert abs(left.mean()) < 0.2 * np.square(noise).mean()
    assert np.abs(clip.frames - drawing.clean).mean() < 8  # and the picture is still the picture


@pytest.mark.parametrize("name", list(ARTEFACTS))
def test_an_artefact_of_no_strength_does_nothing_and_half_of_it_less_than_all(
    drawing: Drawing, name: str
) -> None:
    def away(strength: float) -> tuple[float, float, float]:
        clip = ARTEFACTS[name](drawing, np.random.default_rng(1), strength)
        pixels = np.abs(clip.frames.astype(float) - drawing.frames)
        sound = np.abs(clip.waveform - drawing.heard()).sum()
        depth = np.abs(clip.landmarks - drawing.landmarks).sum()
        return float(np.where(pixels > 1, pixels, 0).sum()), float(sound), float(depth)

    nothing, half, all_of_it = away(0.0), away(0.5), away(1.0)
    assert nothing == (0, 0, 0)
    changed = int(np.argmax(all_of_it))
    assert half[changed] > 0
    if name != "lag":  # late by half is as different as late by all
        assert half[changed] < all_of_it[changed]


def test_the_rebuilt_voice_lies_within_its_interval(drawing: Drawing) -> None:
    clip = ARTEFACTS["vocoder"](drawing, np.random.default_rng(1))
    differs = (clip.waveform != drawing.heard()).reshape(STEPS, -1).mean(axis=1)
    start, stop = clip.interval
    assert start > 0 or stop < STEPS
    assert (differs[start:stop] > 0.9).all()
    assert not differs[:start].any()
    assert not differs[stop:].any()


def test_flicker_scales_the_whole_face_alike(drawing: Drawing) -> None:
    clip = ARTEFACTS["flicker"](drawing, np.random.default_rng(1))
    start, stop = clip.interval
    ratios = []
    for step in range(start, stop):
        x, y = drawing.seen()[step, 5, :2].astype(int)  # the nose: far from the soft edge
        patch = np.s_[step, y - 8 : y + 8, x - 8 : x + 8]
        forged, own = clip.frames[patch].astype(float), drawing.frames[patch].astype(float)
        ratio = forged.mean(axis=(0, 1)) / own.mean(axis=(0, 1))
        assert np.abs(forged - own * ratio).max() < 1.5  # grey levels, rounding included
        ratios.append(ratio)
    assert 0.02 < np.std(ratios) < 0.07
