"""Calibration: who is to be trusted, and what a logit is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.data.samples import Sample
from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.train.calibrate import calibrate, fit_weights
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run
from pipelines.train.token_clips import JudgedClip, TokenClip, judged_clips
from temporal.experts import ExpertConfig

TINY = ExpertConfig(
    dim=8, appearance=4, lips=(4, 4), flow=(4, 4), depth=(4, 4), mel=(4, 4), voice=(4, 4)
)
STEPS = 30


@pytest.fixture
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(DetectorConfig(experts=TINY)).eval()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path, 0, "cpu", "float32")


def silent_face(fake: bool, generator: torch.Generator) -> TokenClip:
    """A clip of which appearance says loud nonsense, and flow, softly, the truth."""

    def tokens(mean: float, spread: float) -> torch.Tensor:
        return mean + spread * torch.randn(1, 8, generator=generator).expand(STEPS, 8)

    targets = torch.full((STEPS, 3), -1.0)
    targets[:, 0] = float(fake)
    truth: Any = ((0.0, 1e9),) if fake else ()
    sample = Sample(Path("x.mp4"), "val", "m", "s", "p", truth, None, None)
    given = {
        "appearance": tokens(0.0, 3.0),
        "flow": tokens(0.3 if fake else -0.3, 0.05),
        "depth": tokens(0.0, 0.05),
    }
    return TokenClip(
        given, targets, torch.zeros(STEPS, dtype=torch.bool), TrainClip(sample, None, None)
    )


def test_a_quiet_judge_that_is_right_is_trusted_before_a_loud_one_that_is_not(
    detector: Detector, run: Run
) -> None:
    generator = torch.Generator().manual_seed(1)
    for name in ("appearance", "flow", "depth"):
        probe = detector.get_submodule(f"probes.{name}")
        assert isinstance(probe, torch.nn.Linear)
        torch.nn.init.constant_(probe.weight, 0.2)
    clips = [silent_face(i % 2 == 0, generator) for i in range(60)]
    fit_weights(detector, judged_clips(detector, clips, run), run)
    for weights in (detector.clip_weights, detector.step_weights):
        mean = dict(zip(DetectorConfig().opinions, weights[:, 0].tolist(), strict=True))
        assert mean["flow"] > 10 * mean["appearance"]
        assert mean["mel"] == mean["lag"] == 1.0  # nothing is known of them here


def test_who_knows_where_in_a_clip_counts_for_the_steps(detector: Detector, run: Run) -> None:
    generator = torch.Generator().manual_seed(2)
    names = list(DetectorConfig().opinions)
    silent = torch.zeros(STEPS, dtype=torch.bool)
    clips = []
    for i in range(40):
        opinions = torch.zeros(STEPS, len(DetectorConfig().opinions))
        truth = torch.full((STEPS, 3), -1.0)
        truth[:, 0] = 0.0
        level = torch.randn((), generator=generator)  # says nothing of the clip
        opinions[:, names.index("appearance")] = level + 0.1 * torch.randn(
            STEPS, generator=generator
        )
        if i % 2:
            truth[10:20, 0] = 1.0
            opinions[10:20, names.index("appearance")] += 1.0
        clips.append(JudgedClip(opinions, truth, silent, torch.tensor([True, False, False])))
    fit_weights(detector, clips, run)
    whole, local = detector.step_weights[names.index("appearance")].tolist()
    assert local > 10 * whole


def test_without_clips_the_scores_are_left_as_they_are(detector: Detector, run: Run) -> None:
    before = {name: t.clone() for name, t in detector.state_dict().items()}
    calibrate(detector, {"calibration": [], "val": []}, run)
    assert all(torch.equal(t, before[name]) for name, t in detector.state_dict().items())


@pytest.mark.parametrize(
    ("column", "other", "whole"),
    [(0, "flow", "sharpness"), (0, "flow", "steadiness"), (1, "mel", "whisper")],
)
def test_who_judges_the_whole_has_as_much_say_as_the_others_together(
    detector: Detector, run: Run, column: int, other: str, whole: str
) -> None:
    names = list(DetectorConfig().opinions)
    one, index = names.index(other), names.index(whole)
    silent = torch.zeros(STEPS, dtype=torch.bool)
    judged = torch.arange(3) == column
    clips = []
    for i in range(40):
        truth = torch.full((STEPS, 3), -1.0)
        truth[:, column] = float(i % 2)
        opinions = torch.zeros(STEPS, len(DetectorConfig().opinions))
        opinions[:, one] = float(i % 2) + 0.1 * (i % 5)
        opinions[:, index] = 7.0 * (i % 3)
        clips.append(JudgedClip(opinions, truth, silent, judged))
    fit_weights(detector, clips, run)
    said = torch.stack([c.opinions[0] for c in clips])
    own = detector.clip_weights[index, 0] * said[:, index]
    logits = [detector.clip_logits(c.opinions[None], ~silent[None])[:, column] for c in clips]
    assert torch.isclose(own.std(), (torch.cat(logits) - own).std(), rtol=1e-4)
    assert not detector.step_weights[index].any()


def test_what_is_joined_to_a_calibrated_opinion_is_weighed_beside_it(run: Run) -> None:
    """Labels drawn from a known sum of two opinions: the weights are those of the sum."""
    config = DetectorConfig(opinions=("mel", "speech", "utterance"), whole=("utterance", "speech"))
    detector = Detector(config)
    draw = torch.Generator().manual_seed(0)
    said = torch.randn(4000, 3, generator=draw)
    logits = 1.5 * said[:, 2] + 0.7 * said[:, 0] - 0.4
    labels = (torch.rand(4000, generator=draw) < logits.sigmoid()).float()
    judged = torch.arange(3) == 1
    clips = [
        JudgedClip(
            opinions.expand(STEPS, 3),
            torch.where(judged, label, -1.0).expand(STEPS, 3),
            torch.zeros(STEPS, dtype=torch.bool),
            judged,
        )
        for opinions, label in zip(said, labels, strict=True)
    ]
    fit_weights(detector, clips, run)
    mel, speech, utterance = detector.clip_weights[:, 0].tolist()
    assert mel == pytest.approx(0.7, abs=0.15)
    assert utterance == pytest.approx(1.5, abs=0.2)
    assert speech == 0.0
    assert not detector.clip_weights[:, 1].any()
    assert torch.equal(detector.step_weights[:, 0], detector.clip_weights[:, 0])
    assert detector.calibration[1].tolist() == [1.0, 0.0]


@pytest.mark.gpu
def test_weights_fitted_on_a_gpu_are_those_of_the_processor(tmp_path: Path) -> None:
    fitted = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        own = Detector(DetectorConfig(experts=TINY)).eval().to(device)
        run = Run(tmp_path / device, 0, device, "float32")
        generator = torch.Generator().manual_seed(1)
        clips = [silent_face(i % 2 == 0, generator) for i in range(60)]
        fit_weights(own, judged_clips(own, clips, run), run)
        fitted.append([w.cpu() for w in (own.clip_weights, own.step_weights, own.biases)])
    for here, there in zip(*fitted, strict=True):
        torch.testing.assert_close(there, here, atol=0.02, rtol=0.02)
