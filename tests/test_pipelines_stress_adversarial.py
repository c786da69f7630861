"""An attack on our own weights: it starts from the clean clips and gets further with its bound."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from extractors.media import SAMPLE_RATE, write_clip
from pipelines.data.samples import WHOLE, Sample, Spans
from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.session import DetectConfig, DetectorSession
from pipelines.metrics.security import pgd
from pipelines.stress.adversarial import BOUNDS, _picture_logit, _sound_logit, attack, windows_of
from temporal.experts import ExpertConfig
from temporal.segment import MODALITIES
from temporal.windows import WindowConfig

TINY = ExpertConfig(
    dim=16, appearance=4, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
)


@pytest.fixture(scope="module")
def session() -> DetectorSession:
    torch.manual_seed(0)
    detector = Detector(DetectorConfig(name="tiny", experts=TINY)).eval()
    windows = WindowConfig(length=16, stride=8)
    return DetectorSession(
        detector, DetectConfig(windows=windows), {"name": "tiny", "version": "1", "sha256": "ab"}
    )


@pytest.mark.parametrize(
    ("modality", "truth", "bounds"),
    [("visual", (), (0.0, 1.0, 4.0)), ("audio", WHOLE, (0.0, 1e-5, 4e-5))],
)
def test_a_clip_is_flipped_from_the_bound_on_that_reaches_its_margin(
    session: DetectorSession,
    face_clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    modality: str,
    truth: Spans,
    bounds: tuple[float, ...],
) -> None:
    monkeypatch.setitem(BOUNDS, modality, bounds)
    spans = {"visual": None, "audio": None, modality: truth}
    clip = Sample(face_clip, "dev", "m", "s", "p", spans["visual"], spans["audio"], None)
    logit, x, limits = windows_of(clip, session)[modality]
    wrong = -1.0 if truth else 1.0  # the sign of a logit that misjudges the clip
    clean, some, more = (
        pgd(lambda given: wrong * logit(given), x, bound, 1, limits)[1][-1] for bound in bounds
    )
    assert clean < some < more
    # The clip becomes right by as much as lies between what the two bounds reach.
    shifted = session.detector.calibration.clone()
    shifted[MODALITIES.index(modality), 1] -= wrong * (some + more) / 2
    monkeypatch.setitem(session.detector._buffers, "calibration", shifted)
    found = attack([clip], session, steps=1)
    assert found[modality]["success"] == [0.0, 0.0, 1.0]
    assert found[modality]["accuracy"] == [1.0, 1.0, 0.0]
    assert [found[name]["clips"] for name in ("visual", "audio")].count(0) == 1  # truth unknown


def test_what_takes_no_part_is_counted_and_what_is_kept_is_not_attacked_again(
    session: DetectorSession, tmp_path: Path
) -> None:
    samples = []
    for number, spans in enumerate(((), WHOLE, ((0.1, 0.2),))):
        path = tmp_path / f"{number}.wav"
        noise = np.random.default_rng(number).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
        write_clip(path, None, noise)
        samples.append(Sample(path, "dev", "m", "s", "p", None, spans, None))
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    samples.append(Sample(broken, "dev", "m", "s", "p", None, (), None))
    kept = tmp_path / "attack.jsonl"
    found = attack(samples, session, steps=1, kept=kept)
    audio = found["audio"]
    assert (found["given"], audio["clips"], found["visual"]["clips"]) == (4, 2, 0)
    # an untrained network gives one answer to all: right for one of the two
    assert audio["accuracy"][0] == 0.5
    lines = kept.read_text().splitlines()
    assert len(lines) == 4
    assert "broken.wav" in json.loads(lines[3])["error"]
    for sample in samples:
        sample.path.unlink()
    assert attack(samples, session, steps=1, kept=kept) == found  # from what was kept


def test_the_attack_sees_gradients_of_crops_and_waveform(session: DetectorSession) -> None:
    streams = {
        "appearance": torch.randint(0, 255, (1, 40, 3, 112, 112)).byte(),
        "mouth": torch.randint(0, 255, (1, 40, 1, 48, 96)).byte(),
    }
    logit = _picture_logit(session.detector, streams, torch.ones(1, 40, dtype=torch.bool))
    crops = torch.cat([s.float().flatten() for s in streams.values()]).requires_grad_(True)
    (gradient,) = torch.autograd.grad(logit(crops), crops)
    assert gradient[: streams["appearance"].numel()].abs().max() > 0
    waveform = torch.randn(40 * 640).requires_grad_(True)
    (gradient,) = torch.autograd.grad(_sound_logit(session.detector)(waveform), waveform)
    assert gradient.abs().max() > 0
