"""The localizers learn: on clips whose forged seconds can be told, from few updates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.data.manifest import WHOLE
from pipelines.data.samples import Sample
from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.train import picture_localizer, sound_localizer
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run
from pipelines.train.localizer import calibrate_localizer, localizer_batch, within_clips
from pipelines.train.picture_localizer import FaceTokens
from pipelines.train.sound_localizer import SOUND, recordings, train_sound_localizer
from pipelines.train.stage import StageConfig
from temporal.experts import ExpertConfig
from temporal.localization import LocalizationConfig, StepOutputs
from temporal.localizer import LocalizerConfig

EXPERTS = ExpertConfig(
    dim=8, appearance=4, lips=(4,), flow=(4,), depth=(4,), mel=(4, 4), voice=(4,)
)
CONFIG = DetectorConfig(
    experts=EXPERTS, opinions=("mel", "utterance", SOUND), localizer=LocalizerConfig(hidden=8)
)


def sample(
    name: str, audio: tuple[tuple[float, float], ...] = (), pair: Path | None = None
) -> Sample:
    return Sample(Path(name), "train", "real", "source", name, None, audio, None, pair=pair)


def speech(seed: int, seconds: float = 5.0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    loud = np.repeat(rng.uniform(0.05, 1, int(seconds * 10)), 1600)
    return torch.from_numpy((6000 * loud * rng.standard_normal(len(loud))).astype(np.int16))


class Loud(torch.nn.Module):
    """Says of each step what its input says."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> StepOutputs:
        nothing = torch.zeros(*x.shape[:2], 5, 1)
        return StepOutputs(x, nothing, torch.zeros(*x.shape[:2], 5, 1, 2))


def test_a_batch_labels_the_steps_that_are_forged_and_pads_the_rest() -> None:
    inputs = [(torch.randn(50, 3),), (torch.randn(30, 3),)]
    batch = localizer_batch(inputs, [[(0.4, 0.8)], []], LocalizationConfig())
    assert batch.inputs[0].shape == (2, 50, 3)
    assert batch.steps[0, :, 0].nonzero().flatten().tolist() == list(range(10, 20))
    assert not batch.steps[1].any()
    assert batch.mask.sum(dim=1).tolist() == [50, 30]
    assert float(batch.reach[0, 15, :, 0].sum()) == pytest.approx(10.0)  # 5.5 back, 4.5 ahead


def test_a_clip_is_scored_by_how_its_forged_steps_rank_among_its_own() -> None:
    found = torch.zeros(2, 50, 1)
    found[0, 10:20] = 1.0
    found[1] = 9.0  # a clip that is suspect as a whole is not localized by that
    batch = localizer_batch([(x,) for x in found], [[(0.4, 0.8)]] * 2, LocalizationConfig())
    assert within_clips(Loud(), batch) == pytest.approx([1.0, 0.5])


def test_a_calibrated_localizer_takes_few_clips_to_be_forged(tmp_path: Path) -> None:
    detector = Detector(CONFIG)
    detector.localizers["sound"] = Loud()
    found = 0.1 * torch.randn(40, 50, 1, generator=torch.Generator().manual_seed(0))
    truths = [[(0.4, 0.8)] if i % 2 else [] for i in range(40)]
    found[1::2, 10:20] += 1.0
    batch = localizer_batch([(x,) for x in found], truths, LocalizationConfig())
    calibrate_localizer(SOUND, detector, [batch], Run(tmp_path, 0, "cpu", "float32"))
    scale, shift = detector.clip_weights[2].tolist()
    middle = (0.5 * scale + shift) / 1.0
    assert scale > 0
    assert middle < -1.0  # even evidence: the prior decides


def test_recordings_are_sorted_by_their_truth_and_resyntheses_join_their_original() -> None:
    real = speech(0)
    clips = [
        TrainClip(sample("real"), None, real),
        TrainClip(sample("made", WHOLE, Path("real")), None, real.flip(0).flip(0)),
        TrainClip(sample("other", WHOLE), None, speech(1)),
        TrainClip(sample("partial", ((0.5, 1.0),)), None, speech(2)),
        TrainClip(sample("silent"), None, torch.zeros(80_000, dtype=torch.int16)),
    ]
    genuine, synthetic = recordings(clips)
    assert [len(r.resyntheses) for r in genuine] == [1]
    assert len(synthetic) == 2


def test_the_localizer_of_sound_is_trained_from_a_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_localizer, "LENGTHS", (50,))
    monkeypatch.setattr(sound_localizer, "EXAMPLES", 6)
    monkeypatch.setattr(sound_localizer, "HELD_OUT", 6)
    clips = [TrainClip(sample(str(i)), None, speech(i)) for i in range(6)]
    torch.manual_seed(0)
    detector, run = Detector(CONFIG), Run(tmp_path, 0, "cpu", "float32")
    before = {name: t.clone() for name, t in detector.network(SOUND).state_dict().items()}
    stage = StageConfig(updates=2, batch=2, evaluate_every=1)
    train_sound_localizer(detector, {"train": clips, "val": clips[:3]}, stage, run)
    after = detector.network(SOUND).state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert (tmp_path / f"{SOUND}.safetensors").exists()


def test_a_stretch_of_a_face_keeps_its_forged_seconds() -> None:
    tokens = (torch.arange(100.0)[:, None].repeat(1, 4).half(),)
    face = FaceTokens((tokens,), [(1.0, 2.0)])
    for seed in range(10):
        (cut,), forged = face.stretch(100, np.random.default_rng(seed))
        assert len(cut) >= picture_localizer.SHORTEST
        first = float(cut[0, 0]) / 25
        for begin, end in forged:
            assert begin + first >= 1.0 - 1e-6
            assert end + first <= 2.0 + 1e-6
