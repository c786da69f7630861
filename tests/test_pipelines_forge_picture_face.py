from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from extractors.crops import EYE_CORNERS
from extractors.lips import INNER, OUTER
from pipelines.forge.picture.blend import colour_match
from pipelines.forge.picture.face import (
    match_steps,
    rebuild_face,
    resample_face,
    self_blend,
    swap_face,
)
from pipelines.forge.picture.generator_look import (
    apply_look,
    autoencode,
    draw_look,
    low_rank,
    transposed_upsample,
)
from pipelines.forge.picture.geometry import (
    BROWS,
    CHIN,
    OVAL,
    REGIONS,
    MaskShape,
    aligned_matrix,
    cut_crop,
    face_width,
    smooth_in_time,
    soft_mask,
    uncut_crop,
)
from pipelines.forge.picture.mouth import (
    RETIMINGS,
    draw_frozen,
    draw_retiming,
    fold,
    retime_mouth,
    steadiest,
)
from pipelines.forge.picture.timing import (
    SPLICES,
    interpolate_frames,
    repeat_frames,
    shown_pictures,
    splice_frames,
)
from pipelines.forge.picture.warp import STIFFNESSES, Plate, enough_stiffness, similarity

STEPS, SIZE, WIDTH = 20, (120, 160), 60.0
START, STOP = 6, 15


def unit_mesh(opening: float) -> np.ndarray[Any, Any]:
    """(478, 3): a face like an egg, one from ear to middle; the lips `opening` apart."""
    mesh = np.random.default_rng(1).uniform(-0.5, 0.5, (478, 3))
    angle = 2 * np.pi * np.arange(len(OVAL)) / len(OVAL)
    mesh[list(OVAL), :2] = np.column_stack([np.sin(angle), -1.3 * np.cos(angle)])
    mesh[list(BROWS[:5]), :2] = [(x, -0.6) for x in np.linspace(-0.65, -0.15, 5)]
    mesh[list(BROWS[5:]), :2] = [(x, -0.6) for x in np.linspace(0.15, 0.65, 5)]
    for corner, inner, at in ((33, 133, -1), (263, 362, 1)):
        mesh[corner, :2], mesh[inner, :2] = (at * 0.6, -0.4), (at * 0.2, -0.4)
    mesh[[159, 145, 386, 374], :2] = [(-0.4, -0.45), (-0.4, -0.35), (0.4, -0.45), (0.4, -0.35)]
    mesh[[168, 6, 197, 195, 5, 4, 1, 2], :2] = [(0, y) for y in np.linspace(-0.4, 0.25, 8)]
    mesh[[98, 327, 129, 358], :2] = [(-0.15, 0.2), (0.15, 0.2), (-0.22, 0.14), (0.22, 0.14)]
    cheeks = [(116, 345, 0.75, -0.05), (50, 280, 0.5, 0.1), (205, 425, 0.45, 0.3)]
    cheeks += [(187, 411, 0.6, 0.45), (214, 434, 0.6, 0.65), (117, 346, 0.5, -0.1)]
    for right, left, x, y in cheeks:
        mesh[[right, left], :2] = [(-x, y), (x, y)]
    for ring, radius in ((OUTER, 0.36), (INNER, 0.3)):
        x = radius * np.concatenate([np.linspace(-1, 1, 11), np.linspace(-0.8, 0.8, 9)])
        side = np.repeat([-1, 1], [11, 9])
        arch = np.sqrt(np.maximum(1 - (x / radius) ** 2, 0))
        mesh[list(ring), :2] = np.column_stack([x, 0.62 + side * (radius / 5 + opening / 2) * arch])
    mesh[list(CHIN), :2] = [(x, 0.98 + opening / 2) for x in np.linspace(-0.2, 0.2, 5)]
    mesh[[18, 164], :2] = [(0, 0.8 + opening / 2), (0, 0.42)]
    mesh[:, 2] = 0.3 * (mesh[:, :2] ** 2).sum(axis=1)
    return mesh


def talking_face(
    seed: int, speed: float = 1.0, tint: tuple[int, int, int] = (200, 150, 120)
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Frames (T, 120, 160, 3) of a textured face whose mouth opens and shuts, and landmarks."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.normal(0, 60, (*SIZE, 3)).astype(np.float32), (0, 0), 1.5)
    scene = np.full((*SIZE, 3), (60, 90, 120), np.float32) + texture
    frames, points = [], []
    for step in range(STEPS):
        opening = 0.16 * (1 + np.sin(1.3 * speed * step))
        centre = np.array([80 + 0.7 * step, 60 + 2 * np.sin(0.3 * step), 0])
        mesh = centre + WIDTH / 2 * unit_mesh(opening)
        frame = np.ascontiguousarray(scene.copy())
        moved = np.roll(texture, round(0.7 * step), axis=1)
        skin = np.zeros(SIZE, np.uint8)
        cv2.fillPoly(skin, [mesh[list(OVAL), :2].round().astype(np.int32)], (255,))
        frame[skin > 0] = (np.array(tint, np.float32) + moved)[skin > 0]
        for ring, colour in ((OUTER, (170, 70, 70)), (INNER, (30, 10, 10))):
            hull = cv2.convexHull(mesh[list(ring), :2].round().astype(np.int32))
            cv2.fillPoly(frame, [hull], colour)
        noise = rng.normal(0, 2, frame.shape)
        frames.append(np.clip(frame + noise, 0, 255).astype(np.uint8))
        points.append(mesh)
    return np.stack(frames), np.stack(points).astype(np.float32)


@pytest.fixture(scope="module")
def face() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    frames, landmarks = talking_face(0)
    frames.flags.writeable = False
    return frames, landmarks


@pytest.fixture(autouse=True)
def briefly_trained(monkeypatch):
    def brief(crops, rng, updates):
        return autoencode(crops, rng, updates // 20)

    monkeypatch.setattr("pipelines.forge.picture.face.autoencode", brief)


def retimed(kind: str) -> Callable[..., Any]:
    def forge(frames, landmarks, start, stop, rng, strength):
        if kind == "frozen":
            walk = draw_frozen(landmarks, start, stop, rng)
        else:
            walk = draw_retiming(kind, len(frames), start, stop, rng)
        return retime_mouth(frames, landmarks, start, stop, rng, walk, strength)

    return forge


FACE_FORGERIES: dict[str, Callable[..., Any]] = {
    "self_blend": self_blend,
    "swap_face": lambda f, p, a, b, rng, x: swap_face(f, p, a, b, rng, *talking_face(7, 1.4), x),
    "rebuild_face": rebuild_face,
    "resample_face": resample_face,
    **{f"mouth {kind}": retimed(kind) for kind in (*RETIMINGS, "frozen")},
}
TIME_FORGERIES: dict[str, Callable[..., Any]] = {
    "repeat": lambda f, p, a, b, rng, x: repeat_frames(f, a, b, rng, x),
    "interpolate": lambda f, p, a, b, rng, x: interpolate_frames(f, a, b, rng, x),
    **{
        f"splice {kind}": lambda f, p, a, b, rng, x, kind=kind: splice_frames(f, a, b, rng, kind)
        for kind in SPLICES
    },
}
FORGERIES = FACE_FORGERIES | TIME_FORGERIES


def differing(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any]) -> list[int]:
    return [t for t, (a, b) in enumerate(zip(before, after, strict=True)) if (a != b).any()]


@pytest.mark.parametrize("name", FORGERIES)
@pytest.mark.parametrize(("start", "stop"), [(START, STOP), (0, STEPS), (0, 5), (STEPS - 5, STEPS)])
def test_exactly_the_frames_of_the_segment_change(
    name: str, start: int, stop: int, face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
) -> None:
    frames, landmarks = face
    rng = np.random.default_rng(start + stop)
    forged = FORGERIES[name](frames, landmarks, start, stop, rng, 0.5)
    assert forged.dtype == np.uint8
    assert differing(frames, forged) == list(range(start, stop))


@pytest.mark.parametrize("name", FACE_FORGERIES)
def test_a_face_forgery_leaves_the_background_alone(
    name: str, face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
) -> None:
    frames, landmarks = face
    forged = FORGERIES[name](frames, landmarks, START, STOP, np.random.default_rng(3), 1.0)
    changed = (forged != frames).any(axis=3)
    rows, columns = np.indices(SIZE)
    for step in range(START, STOP):
        x, y = landmarks[step, list(OVAL), :2].mean(axis=0)
        distance = np.hypot((columns - x), (rows - y) / 1.3)
        assert not changed[step][distance > 0.98 * WIDTH].any()


@pytest.mark.parametrize("name", ["self_blend", "swap_face", "mouth lag", "interpolate"])
def test_the_same_seed_gives_the_same_forgery(
    name: str, face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
) -> None:
    frames, landmarks = face
    a, b, c = (
        FORGERIES[name](frames, landmarks, START, STOP, np.random.default_rng(s), 0.5)
        for s in (1, 1, 2)
    )
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("forge", [self_blend, resample_face, rebuild_face])
def test_a_stronger_forgery_changes_more(
    forge: Any, face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
) -> None:
    frames, landmarks = face

    def change(strength: float) -> float:
        results = [
            forge(frames, landmarks, 8, 10, np.random.default_rng(seed), strength)
            for seed in range(6)
        ]
        return float(np.mean([np.abs(r[8:10].astype(int) - frames[8:10]).mean() for r in results]))

    assert change(1.0) > 1.3 * change(0.0)


def test_a_self_blend_is_steady_on_a_picture_that_stands_still(
    face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
) -> None:
    frames, landmarks = face
    still, points = frames[:1].repeat(10, 0), landmarks[:1].repeat(10, 0)
    ratios = []
    for seed in range(9):
        forged = self_blend(still, points, 0, 10, np.random.default_rng(seed), 0.7).astype(int)
        flicker = np.abs(np.diff(forged, axis=0)).mean()
        ratios.append(flicker / np.abs(forged - still).mean())
    assert np.median(ratios) < 0.15  # most are steady
    assert max(ratios) > 2 * np.median(ratios)  # some tremble on purpose


def test_a_swapped_face_wears_the_donors_mark_in_its_own_place(
    face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
) -> None:
    frames, landmarks = face
    donor_frames, donor_landmarks = talking_face(7, 1.4)
    donor_frames = donor_frames.copy()
    for frame, points in zip(donor_frames, donor_landmarks, strict=True):
        cv2.circle(frame, [int(v) for v in points[50, :2].round()], 5, (255, 255, 255), -1)
    gains = []
    for seed in range(6):
        arguments = (np.random.default_rng(seed), donor_frames, donor_landmarks, 0.2)
        forged = swap_face(frames, landmarks, 8, 12, *arguments)
        x, y = landmarks[10, 50, :2].round().astype(int)
        mark, other = (slice(y - 2, y + 3), slice(x - 2, x + 3)), landmarks[10, 280, :2]
        gains.append(forged[10][mark].mean() - frames[10][mark].mean())
        assert np.isfinite(other).all()
    assert np.median(gains) > 25


def test_a_retimed_mouth_opens_when_its_source_does(
    face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
) -> None:
    frames, landmarks = face
    opening = landmarks[:, INNER[15], 1] - landmarks[:, INNER[5], 1]
    shut, wide = int(np.argmin(opening[8:14])) + 8, int(np.argmax(opening))
    walk = np.full(1, wide)
    forged = retime_mouth(frames, landmarks, shut, shut + 1, np.random.default_rng(0), walk, 0.0)
    x, y = landmarks[shut, list(OUTER), :2].mean(axis=0).round().astype(int)
    mouth = (shut, slice(y - 3, y + 4), slice(x - 3, x + 4))
    assert forged[mouth].mean() < frames[mouth].mean() - 8  # the dark of the open mouth


@pytest.mark.parametrize("kind", RETIMINGS)
def test_a_retiming_never_shows_a_step_its_own_mouth(kind: str) -> None:
    rng = np.random.default_rng(0)
    for total, start, stop in [(100, 20, 60), (100, 0, 100), (30, 25, 30), (8, 0, 8), (2, 0, 2)]:
        for _ in range(20):
            walk = draw_retiming(kind, total, start, stop, rng)
            assert walk.shape == (stop - start,)
            assert walk.min() >= 0
            assert walk.max() < total
            assert (walk != np.arange(start, stop)).all()


def test_lagging_lips_keep_at_least_two_tenths_of_a_second_away() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        lags = draw_retiming("lag", 200, 60, 100, rng) - np.arange(60, 100)
        assert len(set(lags)) == 1
        assert 5 <= abs(lags[0]) <= 25


def test_an_unknown_retiming_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="lag"):
        draw_retiming("sideways", 10, 0, 5, np.random.default_rng(0))


def test_a_walk_folds_back_at_both_ends() -> None:
    assert fold(np.array([-2, -1, 0, 3, 4, 5, 6]), 5).tolist() == [2, 1, 0, 3, 4, 3, 2]
    assert fold(np.array([-1, 0, 1]), 1).tolist() == [0, 0, 0]


def test_the_walk_whose_heads_fit_is_preferred(
    face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
) -> None:
    _, landmarks = face
    turned = landmarks.copy()
    turned[10:, :, 0] *= 0.5  # the head looks away
    away, towards = np.arange(12, 16), np.arange(4, 8)
    assert steadiest(turned, 0, [away, towards]) is towards
    assert steadiest(turned, 0, [away]) is away


def test_held_frames_are_the_one_before_each_group(
    face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
) -> None:
    frames, _ = face
    forged = repeat_frames(frames, 6, 12, np.random.default_rng(0), 0.0)  # holds 2 steps
    assert [forged[t].tobytes() for t in range(6, 12)] == [
        frames[t].tobytes() for t in (5, 5, 7, 7, 9, 9)
    ]


def test_pictures_that_stay_for_several_steps_are_counted_once(
    face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
) -> None:
    frames, _ = face
    slow = frames[[0, 0, 1, 2, 2, 2]]
    assert shown_pictures(slow).tolist() == [0, 0, 1, 2, 2, 2]


@pytest.mark.parametrize("name", ["repeat", "interpolate"])
def test_a_slow_source_is_still_forged_in_every_step(
    name: str, face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
) -> None:
    frames, landmarks = face
    slow = frames[np.arange(STEPS) * 3 // 5]  # 15 frames a second
    for seed in range(8):
        forged = FORGERIES[name](slow, landmarks, 4, 14, np.random.default_rng(seed), 1.0)
        assert differing(slow, forged) == list(range(4, 14))


def test_a_warp_carries_every_point_and_keeps_an_affine_map() -> None:
    rng = np.random.default_rng(0)
    target = rng.uniform(0, 100, (30, 2))
    source = target + rng.normal(0, 3, (30, 2))
    assert np.allclose(Plate(target, source, 1e-9)(target), source, atol=1e-3)
    matrix = np.array([[0.9, 0.2], [-0.1, 1.1]])
    plate = Plate(target, target @ matrix.T + 5)
    assert np.allclose(plate(np.array([[3.0, 80.0]])), np.array([[3.0, 80.0]]) @ matrix.T + 5)


def test_a_warps_maps_agree_with_the_warp_itself() -> None:
    rng = np.random.default_rng(0)
    target = rng.uniform(20, 80, (20, 2))
    plate = Plate(target, target + rng.normal(0, 1, (20, 2)))
    x, y = plate.maps((10, 20, 61, 75), cell=4)
    assert x.shape == y.shape == (55, 51)
    corners = plate(np.array([[10.0, 20.0], [60.0, 74.0]]))
    assert np.allclose([[x[0, 0], y[0, 0]], [x[-1, -1], y[-1, -1]]], corners, atol=1e-3)


def test_points_that_cross_need_a_stiff_warp() -> None:
    grid = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0)), -1).reshape(-1, 2) * 10
    crossed = grid.copy()
    crossed[[11, 13]] = grid[[13, 11]]
    assert enough_stiffness([grid], [grid + 3]) == STIFFNESSES[0]
    stiff = enough_stiffness([grid], [crossed])
    assert stiff > STIFFNESSES[0]
    assert Plate(grid, crossed, stiff).least_area() > Plate(grid, crossed).least_area()


def test_a_similarity_is_found_again() -> None:
    points = np.random.default_rng(0).normal(size=(12, 2))
    turn = 1.7 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    matrix, shift = similarity(points, points @ turn.T + np.array([3, -2]))
    assert np.allclose(matrix, turn, atol=1e-6)
    assert np.allclose(shift, [3, -2], atol=1e-6)


@pytest.mark.parametrize("region", REGIONS)
def test_a_mask_is_soft_and_covers_the_middle_of_its_region(
    region: str, face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
) -> None:
    _, landmarks = face
    (left, top, right, bottom), mask = soft_mask(landmarks[0], MaskShape(region), SIZE)
    assert mask.shape == (bottom - top, right - left)
    assert mask.min() == 0
    assert mask.max() <= 1
    hull = cv2.convexHull(landmarks[0, list(REGIONS[region]), :2])[:, 0]
    x, y = (hull.min(axis=0) + hull.max(axis=0)) / 2
    assert mask[int(y) - top, int(x) - left] > 0.8
    assert ((mask > 0.05) & (mask < 0.95)).any()


def test_a_face_outside_the_frame_has_no_mask(
    face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
) -> None:
    _, landmarks = face
    _, mask = soft_mask(landmarks[0] + 500, MaskShape("face"), SIZE)
    assert mask.size == 0


@pytest.mark.parametrize("region", ["face", "mouth"])
def test_an_aligned_crop_goes_back_to_where_it_came_from(
    region: str, face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
) -> None:
    frames, landmarks = face
    smooth = cv2.GaussianBlur(frames[0], (0, 0), 2)
    matrix = aligned_matrix(landmarks[0], 128, region)
    crop = cut_crop(smooth, matrix, 128)
    x, y = landmarks[0, list(OUTER), :2].mean(axis=0).round().astype(int)
    box = (x - 8, y - 6, x + 8, y + 6)
    back = uncut_crop(crop, matrix, box)
    assert np.abs(back - smooth[y - 6 : y + 6, x - 8 : x + 8]).mean() < 2


def test_an_aligned_crop_is_upright(
    face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
) -> None:
    _, landmarks = face
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    turned = landmarks[0].copy()
    turned[:, :2] = turned[:, :2] @ turn.T
    matrix = aligned_matrix(turned, 96)
    eyes = turned[list(EYE_CORNERS), :2] @ matrix[:, :2].T + matrix[:, 2]
    assert eyes[0, 1] == pytest.approx(eyes[1, 1], abs=1e-3)
    assert eyes[0, 0] < eyes[1, 0]


def test_smoothing_in_time_keeps_what_is_constant_and_calms_the_rest() -> None:
    constant = np.full((9, 2, 3), 4, np.float32)
    assert np.allclose(smooth_in_time(constant, 1.5), 4)
    noise = np.random.default_rng(0).normal(size=(200, 1)).astype(np.float32)
    assert smooth_in_time(noise, 2.0).std() < 0.5 * noise.std()
    assert smooth_in_time(noise[:1], 2.0) is not None


def test_matched_colours_have_the_targets_mean_and_spread() -> None:
    rng = np.random.default_rng(0)
    source = rng.normal(100, 20, (40, 40, 3))
    target = rng.normal((150, 120, 90), (30, 20, 15), (40, 40, 3))
    gain, shift = colour_match(source, target, np.ones((40, 40), np.float32), 1.0)
    matched = source * gain + shift
    assert np.allclose(matched.mean(axis=(0, 1)), target.mean(axis=(0, 1)), atol=0.5)
    assert np.allclose(matched.std(axis=(0, 1)), target.std(axis=(0, 1)), rtol=0.05)
    gain, shift = colour_match(source, target, np.ones((40, 40), np.float32), 0.0)
    assert np.allclose(gain, 1)
    assert np.allclose(shift, 0)


def test_upsampling_is_a_transposed_convolution_of_stride_two() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(7, 9, 3)).astype(np.float32)
    kernel = rng.normal(size=(4, 4)).astype(np.float32)
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge").transpose(2, 0, 1)[:, None]
    expected = torch.nn.functional.conv_transpose2d(
        torch.from_numpy(padded), torch.from_numpy(kernel)[None, None], stride=2, padding=1
    )[:, 0, 2:-2, 2:-2]
    assert np.allclose(
        transposed_upsample(image, kernel), expected.permute(1, 2, 0).numpy(), atol=1e-5
    )


def test_a_look_keeps_size_and_range() -> None:
    crop = np.random.default_rng(0).uniform(0, 255, (33, 47, 3)).astype(np.float32)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        seen = apply_look(crop, draw_look(rng, 1.0, 60.0), rng)
        assert seen.shape == crop.shape
        assert seen.min() >= 0
        assert seen.max() <= 255


def test_a_generator_is_coarser_on_a_larger_face() -> None:
    small, large = (draw_look(np.random.default_rng(0), 0.5, w, 1.4).factor for w in (60, 270))
    assert large == pytest.approx(3 * small)


def test_all_components_rebuild_a_face_and_one_only_its_main_change() -> None:
    crops = np.random.default_rng(0).uniform(0, 255, (6, 8, 8, 3)).astype(np.float32)
    assert np.allclose(low_rank(crops, 6), crops, atol=0.1)
    line = np.linspace(0, 1, 6)[:, None, None, None] * crops[:1] + 20
    assert np.allclose(low_rank(line.astype(np.float32), 1), line, atol=0.1)
    assert np.abs(low_rank(crops, 1) - crops).mean() > 20


def test_an_autoencoder_learns_the_faces_it_is_given(
    face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
) -> None:
    frames, landmarks = face
    crops = np.stack(
        [cut_crop(f, aligned_matrix(p, 32), 32) for f, p in zip(frames, landmarks, strict=True)]
    )
    rebuilt = autoencode(crops, np.random.default_rng(0), updates=60)
    assert rebuilt.shape == crops.shape
    assert np.abs(rebuilt - crops).mean() < np.abs(crops - crops.mean()).mean() / 2
    assert np.array_equal(rebuilt, autoencode(crops, np.random.default_rng(0), updates=60))


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_donor_of_any_length_is_played_forth_and_back(
    length: int, face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
) -> None:
    _, landmarks = face
    steps = match_steps(landmarks, landmarks[:length], np.random.default_rng(0))
    assert len(steps) == STEPS
    assert set(steps) <= set(range(length))
    assert max(abs(a - b) for a, b in zip(steps[1:], steps[:-1], strict=True)) <= 1


def test_a_donor_is_played_from_where_it_is_most_alike(
    face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
) -> None:
    _, landmarks = face
    turning = landmarks[:1].repeat(60, 0)
    turning[..., 0] *= np.linspace(1, 0.4, 60)[:, None]
    for first in (0, 20, 50):
        steps = match_steps(turning[first : first + 4], turning, np.random.default_rng(0))
        assert abs(np.mean(steps) - (first + 1.5)) < 6


def test_a_face_is_as_wide_as_from_ear_to_ear(
    face: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
) -> None:
    _, landmarks = face
    assert face_width(landmarks[0]) == pytest.approx(WIDTH, rel=0.05)
