"""Crops at the picture's own resolution: even, unresized, spread over the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from extractors.native import native_crop, native_crops, overlay_place
from pipelines.data.samples import Sample
from pipelines.train.clips import TrainClip
from pipelines.zoo.native_clips import native_clip


def test_a_crop_is_the_middle_cut_at_even_coordinates() -> None:
    rows, columns = np.mgrid[:167, :203]
    frame = np.stack([rows, columns, rows], axis=2).astype(np.uint8)
    crop = native_crop(frame)
    assert crop is not None
    assert crop.shape == (160, 160, 3)
    assert crop[0, 0].tolist() == [2, 20, 2]
    assert native_crop(frame[:159]) is None


def test_frames_are_spread_over_the_file_whatever_its_length(
    make_clip: Callable[..., Path],
) -> None:
    for seconds, last in ((0.2, 4), (1.0, 24), (5.0, 112)):
        found = native_crops(make_clip("long.mp4", seconds, sound=False, size=(162, 164)))
        assert found is not None
        crops, steps = found
        assert len(crops) == len(steps) == min(8, round(seconds * 25))
        assert steps[0] == 0
        assert last <= int(steps[-1]) < seconds * 25
        assert torch.equal(steps, steps.unique())
    assert native_crops(make_clip("small.mp4", 0.2, size=(120, 164))) is None
    assert native_crops(make_clip("sound.m4a", 0.2, picture=False)) is None


def test_shown_frames_carry_the_truth_of_their_steps(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    path = make_clip("part.mp4", 1.0, sound=False, size=(162, 164))
    sample = Sample(path, "train", "m", "s", "p", ((0.4, 0.6),), None, None)
    for _ in range(2):  # the second time from the folder
        clip = native_clip(TrainClip(sample, None, None), tmp_path / "kept")
        assert clip is not None
        forged = [10 <= int(place) < 15 for place in clip.places]
        assert any(forged)
        assert clip.targets()[:, 0].tolist() == [float(f) for f in forged]
        given = clip.chunk(1, 3, ("native",), None)["native"]
        assert torch.equal(given, clip.crops[1:3])
        path.touch()


def test_the_window_of_a_caption_is_found_where_all_else_moves() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 120, (6, 300, 400, 3), dtype=np.uint8)
    caption = np.kron(rng.integers(0, 2, (10, 30)), np.ones((4, 4))) > 0
    frames[:, 240:280, 200:320][:, caption] = 255
    place = overlay_place(frames)
    assert place is not None
    row, column = place
    assert (row % 2, column % 2) == (0, 0)
    assert row <= 240 <= 280 <= row + 160
    assert column <= 200 <= 320 <= column + 160


def test_where_nothing_stands_still_there_is_no_caption() -> None:
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 200)[None, :, None] * np.ones((200, 1, 3))
    moving = np.stack([np.roll(ramp, 40 * i, axis=1) for i in range(5)])
    assert (
        overlay_place((moving + rng.normal(0, 0.3, moving.shape)).clip(0, 255).astype(np.uint8))
        is None
    )
