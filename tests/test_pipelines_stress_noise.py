"""The noise probe: means over the clips that can be read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from extractors.media import SAMPLE_RATE, write_clip
from pipelines.data.samples import Sample
from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.session import DetectConfig, DetectorSession
from pipelines.stress.noise import RATIOS, noise_probe
from temporal.experts import ExpertConfig


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
