"""Visual quality: statistics of pictures whose own are known, and which fakes are missed."""

from __future__ import annotations

from collections.abc import Callable
from math import log2
from pathlib import Path

import numpy as np
import pytest

from extractors.errors import InputError
from extractors.media import write_clip
from pipelines.data.samples import WHOLE, Sample
from pipelines.evaluation.protocols.visual_quality import (
    STATISTICS,
    by_visual_quality,
    clip_statistics,
    legacy_index,
    picture_statistics,
    quality_index,
    quality_table,
    uniform_patterns,
)


def test_a_constant_picture_has_no_texture_edges_or_contrast_and_is_all_smooth() -> None:
    found = dict(
        zip(STATISTICS, picture_statistics(np.full((32, 48, 3), 90, np.uint8)), strict=True)
    )
    assert found.pop("smoothness") == 1.0
    assert found.pop("colour concentration") == pytest.approx(np.sqrt(1 / 512 - 1 / 512**2))
    assert set(found.values()) == {0.0}


def test_entropy_never_exceeds_that_of_ten_even_patterns() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    entropy = picture_statistics(noise)[0]
    assert 2.5 < entropy <= log2(10)


def test_patterns_by_hand() -> None:
    """A bright pixel has no brighter neighbour; beside an edge 5 of 8 are at least as bright."""
    peak = np.zeros((5, 5))
    peak[2, 2] = 9.0
    assert uniform_patterns(peak)[2, 2] == 0
    step = np.repeat([[0.0, 0.0, 9.0, 9.0, 9.0]], 5, axis=0)
    assert uniform_patterns(step)[2].tolist() == [8, 8, 5, 8, 8]
    saddle = np.zeros((3, 3))
    saddle[0], saddle[2] = 9.0, 9.0
    saddle[1, 1] = 5.0
    assert uniform_patterns(saddle)[1, 1] == 9  # brighter above and below: two stretches


def test_contrast_and_sharpness_of_a_checkerboard() -> None:
    rows, columns = np.mgrid[:32, :32]
    checker = np.where((rows + columns) % 2, 200, 100).astype(np.uint8)
    found = dict(zip(STATISTICS, picture_statistics(checker[..., None].repeat(3, 2)), strict=True))
    assert found["contrast"] == pytest.approx(50.0)
    assert found["sharpness"] == pytest.approx(
        50.0, rel=0.01
    )  # of its mean, which is all that stays
    assert found["smoothness"] == pytest.approx(1 / (1 + 400.0**2), rel=0.01)  # Laplace: 4 steps


def test_the_index_is_the_mean_z_score_and_the_published_one_lies_between_0_and_100() -> None:
    table = np.random.default_rng(0).normal(3, 2, (50, 7))
    assert quality_index(table, table).mean() == pytest.approx(0)
    assert quality_index(table + 2 * table.std(axis=0), table).mean() == pytest.approx(2)
    legacy = legacy_index(table)
    assert (legacy.min(), legacy.max()) == (0.0, 100.0)
    assert legacy_index(table[:20]) != pytest.approx(legacy[:20])  # it depends on the set


def noise(size: float, seed: int) -> np.ndarray:
    frame = np.random.default_rng(seed).normal(128, size, (48, 48, 3))
    return frame.clip(0, 255).astype(np.uint8)


def test_fakes_that_pass_where_they_are_noisiest_are_seen_in_the_highest_third(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, results, pictures = [], {}, {}
    for number in range(15):
        fake, size = number >= 6, 3.0 * number - 8 if number >= 6 else 8.0 + 5 * number
        path = Path(f"{number}.mp4")
        pictures[path] = noise(size, number)
        samples.append(Sample(path, "dev", "m", "s", "", WHOLE if fake else (), None, None))
        results[str(path)] = {"score": 1 - size / 40 if fake else 0.31 + number / 100}
    monkeypatch.setattr(
        "pipelines.evaluation.protocols.visual_quality.clip_statistics",
        lambda path: picture_statistics(pictures[path]),
    )
    kept = tmp_path / "kept.jsonl"
    found = by_visual_quality(samples, results, kept)
    areas = [row["auc"] for row in found["terciles"].values()]
    assert areas == [1.0, 1.0, 0.0]
    assert found["rank_correlation"] < -0.9
    assert (found["read"], found["reference"]) == (15, 6)
    assert "highest third" in "\n".join(quality_table(found))
    pictures.clear()
    assert by_visual_quality(samples, results, kept) == found  # from what was kept


def test_a_clips_statistics_are_the_means_of_its_frames(tmp_path: Path) -> None:
    frames, path = np.stack([noise(30.0, seed) for seed in range(3)]), tmp_path / "a.mp4"
    write_clip(path, frames, None, crf=0)
    mean = np.mean([picture_statistics(frame) for frame in frames], axis=0)
    found = clip_statistics(path)
    assert found[6] == pytest.approx(mean[6], rel=0.1)  # contrast; colours are halved in size
    assert found[0] == pytest.approx(mean[0], rel=0.1)


def test_clips_that_cannot_be_read_are_counted_and_too_few_are_refused(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing")
    sound = make_clip("sound.wav", seconds=0.2, picture=False)
    samples = [Sample(p, "dev", "m", "s", "", WHOLE, None, None) for p in (broken, sound)]
    with pytest.raises(InputError, match="three fakes or more"):
        by_visual_quality(samples, {str(s.path): {"score": 0.5} for s in samples})
