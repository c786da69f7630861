"""Security probes: each has a closed form, and its search finds what the form says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import erf, sqrt
from pathlib import Path
from statistics import NormalDist
from types import SimpleNamespace
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
import torch

from extractors.media import SAMPLE_RATE, MediaConfig, write_clip
from pipelines.data.samples import WHOLE, Sample
from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.session import DetectConfig, DetectorSession
from pipelines.metrics.security import MOST_GREAT, great_clips, great_score, noise_ceiling, pgd
from pipelines.stress.noise import RATIOS, noise_probe, separation
from pipelines.stress.poison import canary, poison_metrics, residuals, scan, translation_discrepancy
from temporal.experts import ExpertConfig

GAUSS = NormalDist()


def test_an_attack_on_a_linear_loss_goes_to_the_corner_of_the_box() -> None:
    weights = torch.tensor([1.0, -2.0, 0.5])
    x = torch.tensor([0.5, 0.5, 0.99])
    found, history = pgd(lambda v: weights @ v, x, 0.1, steps=6, bounds=(0.0, 1.0))
    assert found == pytest.approx(torch.tensor([0.6, 0.4, 1.0]))
    assert history[-1] == pytest.approx(float(weights @ found))
    first, _ = pgd(lambda v: weights @ v, x, 0.1, steps=1)
    assert torch.equal((first - x).sign(), weights.sign())


def test_an_attack_never_gets_worse_and_stays_within_its_bound() -> None:
    x = torch.linspace(-2, 2, 50)
    found, history = pgd(lambda v: torch.sin(7 * v).sum(), x, 0.3, steps=20)
    assert history == sorted(history)
    assert history[-1] > history[0]
    assert (found - x).abs().max() <= 0.3 + 1e-6
    same, history = pgd(lambda v: v.sum(), x, 0.0)
    assert torch.equal(same, x)
    assert len(history) == 1


def test_great_scores_are_distances_of_a_smoothed_classifier() -> None:
    for distance in (0.0, 0.3, 1.0, 2.5):
        probability = GAUSS.cdf(distance)  # of 1[wx > 0] smoothed with unit noise
        score = great_score([1], [probability]).score
        assert score <= distance + 1e-12  # a bound, and not more
        if distance == 1.0:
            assert score == pytest.approx(0.856, abs=1e-3)
    assert great_score([0, 1], [0.0, 1.0]).score == pytest.approx(MOST_GREAT)
    assert great_score([1, 0], [0.3, 0.9]).score == 0.0  # both misjudged
    margins = np.random.default_rng(0).normal(1, 1, 200_000)
    assert great_score(np.ones(200_000), [GAUSS.cdf(t) for t in margins[:200_000]]).score == (
        pytest.approx(0.7244, abs=5e-3)
    )


def test_the_number_of_clips_of_a_great_score() -> None:
    assert great_clips(0.05, 0.05) == 1159
    found = great_score(np.ones(1159), np.full(1159, 0.7))
    assert found.score - found.interval[0] == pytest.approx(0.05, abs=1e-4)
    with pytest.raises(ValueError, match="one clip or more"):
        great_score([], [])


@pytest.mark.parametrize(
    ("ratio", "variation", "auc", "bound"), [(1, 0.383, 0.760, 0.810), (2, 0.683, 0.921, 0.950)]
)
def test_the_ceiling_of_noise(ratio: float, variation: float, auc: float, bound: float) -> None:
    found = noise_ceiling(0.1 * ratio, 0.1)
    assert found.total_variation == pytest.approx(variation, abs=5e-4)
    assert found.auc == pytest.approx(auc, abs=5e-4)
    assert found.auc_bound == pytest.approx(bound, abs=5e-4)
    assert found.total_variation == pytest.approx(erf(ratio / 2 / sqrt(2)))
    assert noise_ceiling(0.0, 1.0).auc == noise_ceiling(0.0, 1.0).auc_bound == 0.5


def test_a_linear_detector_reaches_the_ceiling_of_noise() -> None:
    weights = torch.linspace(-1, 1, 300)
    x = torch.linspace(0, 1, 300)
    areas = separation(lambda v: weights @ v, x, 0.1, (0.5, 1.0, 2.0), draws=1500)
    ceilings = [noise_ceiling(ratio, 1.0).auc for ratio in (0.5, 1.0, 2.0)]
    assert areas == pytest.approx(ceilings, abs=0.03)


def test_a_detector_that_bends_stays_below_the_ceiling_of_noise() -> None:
    areas = separation(lambda v: torch.sin(40 * v).sum(), torch.zeros(300), 0.1, (2.0,), 300)
    assert areas[0] < noise_ceiling(2.0, 1.0).auc - 0.2


def test_the_noise_probe_means_over_clips_and_leaves_broken_ones_out(tmp_path: Path) -> None:
    samples = []
    for number in range(3):
        path = tmp_path / f"{number}.wav"
        write_clip(path, None, np.full(SAMPLE_RATE, 0.1 * (number + 1), np.float32))
        samples.append(Sample(path, "dev", "m", "s", "p", None, (), None))
    samples[2].path.write_bytes(b"no sound")
    kept = tmp_path / "noise.jsonl"
    found = noise_probe(samples, tiny_session(), kept)
    assert (found["given"], found["audio"]["clips"], found["visual"]["clips"]) == (3, 2, 0)
    assert len(found["audio"]["auc"]) == len(found["ceiling"]) == len(RATIOS)
    for area, (low, high) in zip(
        found["audio"]["auc"], found["audio"]["auc_interval"], strict=True
    ):
        assert low <= area <= high
    assert found["ceiling"] == sorted(found["ceiling"])
    assert "2.wav" in json.loads(kept.read_text().splitlines()[2])["error"]
    for sample in samples:
        sample.path.unlink()
    assert noise_probe(samples, tiny_session(), kept) == found  # from what was kept


def tiny_session() -> DetectorSession:
    torch.manual_seed(0)
    experts = ExpertConfig(
        dim=16, appearance=4, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
    )
    detector = Detector(DetectorConfig(name="tiny", experts=experts)).eval()
    return DetectorSession(
        detector, DetectConfig(), {"name": "tiny", "version": "1", "sha256": "ab"}
    )


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
