"""Poisoned pictures: a planted pattern raises the alarm, what all faces share does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
import torch

from extractors.media import MediaConfig, write_clip
from pipelines.data.samples import WHOLE, Sample
from pipelines.stress.poison import canary, poison_metrics, residuals, scan, translation_discrepancy


def pictures(count: int, seed: int) -> np.ndarray:
    """(N, 32, 32, 3) uint8: pictures of their own content with fine noise."""
    rng = np.random.default_rng(seed)
    soft = [cv2.resize(rng.uniform(60, 190, (4, 4, 3)), (32, 32)) for _ in range(count)]
    return (
        np.rint(np.array(soft) + rng.normal(0, 4, (count, 32, 32, 3))).clip(0, 255).astype(np.uint8)
    )


def test_a_canary_in_the_pictures_raises_the_alarm_and_shows_its_pattern() -> None:
    some = pictures(120, 0)
    planted = canary(some[:12], strength=6.0)
    found = scan(np.concatenate([planted, some[12:]]))  # a tenth of them
    assert found.p <= 0.01
    assert found.energy > 1.2 * found.chance
    rows, columns = np.mgrid[:32, :32]
    checker = np.where((rows // 2 + columns // 2) % 2, 1.0, -1.0)
    middle = found.pattern.mean(axis=2)[3:-3, 3:-3].ravel()
    assert np.corrcoef(middle, checker[3:-3, 3:-3].ravel())[0, 1] > 0.5


def test_clean_pictures_seldom_raise_the_alarm() -> None:
    alarms = sum(scan(pictures(30, seed)).p <= 0.05 for seed in range(100))
    assert alarms <= 10  # five expected, ten or fewer 99 times of 100
    with pytest.raises(ValueError, match="two pictures or more"):
        scan(pictures(1, 0))


def faces(count: int) -> np.ndarray:
    """(N, 64, 64, 3) uint8: one drawn face, aligned to a pixel or so, with fine noise."""
    face = np.full((640, 640, 3), 170, np.float32)
    for x in (200, 440):
        cv2.ellipse(face, (x, 250), (70, 30), 0, 0, 360, (60.0, 60.0, 60.0), -1)
    cv2.ellipse(face, (320, 470), (120, 40), 0, 0, 360, (150.0, 70.0, 70.0), -1)
    face, found = cv2.GaussianBlur(face, (0, 0), 8), []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        move = np.hstack([np.eye(2), rng.normal(0, 10, (2, 1))])
        moved = cv2.warpAffine(face, move, (640, 640), borderMode=cv2.BORDER_REPLICATE)
        small = cv2.resize(moved, (64, 64), interpolation=cv2.INTER_AREA)
        found.append(np.rint(small + rng.normal(0, 4, small.shape)).clip(0, 255))
    return np.array(found, dtype=np.uint8)


def test_what_all_aligned_faces_share_is_no_trigger_and_does_not_hide_one() -> None:
    clean = faces(60)
    coarse = residuals(clean).mean(axis=0)
    assert np.abs(coarse).max() > 4 * np.abs(coarse).mean()  # they do share eyes and a mouth
    assert scan(clean).p > 0.05
    assert scan(np.concatenate([canary(clean[:12]), clean[12:]])).p <= 0.01


class Cropper:
    """Takes the middle of each frame for the aligned face."""

    config = SimpleNamespace(media=MediaConfig())
    model: ClassVar[dict[str, str]] = {"name": "cropper", "version": "1", "sha256": "ab"}

    def extractor(self, chunks: Iterator[Any]) -> Iterator[Any]:
        for clip in chunks:
            crops = torch.from_numpy(clip.frames[:, 16:48, 16:48]).permute(0, 3, 1, 2)
            yield SimpleNamespace(appearance=crops, mouth=crops[:, :1])


def test_a_pattern_in_genuine_clips_alone_is_told_from_one_in_all(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = []
    for number in range(24):
        fake = number >= 12
        soft = cv2.resize(rng.uniform(60, 190, (4, 4, 3)), (64, 64))
        frames = (soft + rng.normal(0, 4, (4, 64, 64, 3))).clip(0, 255).astype(np.uint8)
        path = tmp_path / f"{number}.mp4"
        write_clip(path, frames if fake else canary(frames, strength=24.0), None)
        samples.append(Sample(path, "dev", "m", "s", "p", WHOLE if fake else (), None, None))
    write_clip(tmp_path / "a.wav", None, np.zeros(1600, np.float32))
    samples.append(Sample(tmp_path / "a.wav", "dev", "real", "s", "p", (), None, None))
    kept = tmp_path / "poison.jsonl"
    found = poison_metrics(samples, Cropper(), kept)  # type: ignore[arg-type]
    assert (found["genuine"]["pictures"], found["forged"]["pictures"]) == (12, 12)
    assert found["genuine"]["p"] == 1 / 200
    assert found["forged"]["p"] > 0.05
    assert found["genuine"]["energy"] > 3 * found["genuine"]["chance"]
    assert found["forged"]["canaries"] == 1
    for sample in samples:
        sample.path.unlink()
    assert poison_metrics(samples, Cropper(), kept) == found  # type: ignore[arg-type]
    few = poison_metrics(samples[:1], Cropper(), kept)  # type: ignore[arg-type]
    assert few["genuine"] == {"pictures": 1}


def test_patterns_that_shifts_change_most_stand_out() -> None:
    rows, columns = np.mgrid[:64, :64]
    checker = np.where((rows + columns) % 2, 1.0, -1.0)
    stripes = np.where(rows // 4 % 2, 1.0, -1.0)
    noise = np.random.default_rng(0).choice((-1.0, 1.0), (64, 64))
    wave = np.sin(2 * np.pi * rows / 64)
    values = [translation_discrepancy(p) for p in (checker, noise, stripes)]
    assert values == pytest.approx([0.96, 0.963, 0.60], abs=0.01)
    assert 0 < translation_discrepancy(wave) < 0.05
    assert translation_discrepancy(0 * wave) == 0
