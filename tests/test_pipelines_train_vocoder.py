"""Training of the neural vocoder: its losses, and that it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.data.manifest import WHOLE, Spans
from pipelines.data.samples import Sample
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run
from pipelines.train.stage import StageConfig
from pipelines.train.vocoder import (
    Rivals,
    Speech,
    genuine_speech,
    mel_distance,
    spectral_loss,
    train_vocoder,
)


def hum(pitch: float, steps: int = 50) -> Tensor:
    """A voice-like waveform int16: twenty harmonics that come and go."""
    time = np.arange(steps * 640) / 16_000
    tones = sum(np.sin(2 * np.pi * k * pitch * time + k) / k for k in range(1, 21))
    sound = 0.1 * np.asarray(tones) * (1.2 + np.sin(2 * np.pi * 3 * time))
    return torch.from_numpy((sound * 32767).astype(np.int16))


def clip(waveform: Tensor, audio: Spans | None) -> TrainClip:
    sample = Sample(Path("x.m4a"), "train", "real", "here", "someone", None, audio, None)
    return TrainClip(sample, None, waveform)


def test_alike_sounds_have_no_distance_and_half_as_loud_ones_a_known_one() -> None:
    true = 0.3 * torch.randn(3, 8320, generator=torch.Generator().manual_seed(0))
    assert float(spectral_loss(true, true)) == 0
    assert float(spectral_loss(-true, true)) == pytest.approx(0, abs=1e-6)
    # half of the magnitude is missing, and ln 2 of its logarithm
    assert float(spectral_loss(0.5 * true, true)) == pytest.approx(0.5 + np.log(2), rel=0.02)


def test_the_discriminator_learns_to_tell_and_not_to_be_fooled() -> None:
    torch.manual_seed(0)
    rivals = Rivals()
    true = 0.1 * torch.randn(4, 8320)
    rivals.loss(Speech(true, judged=True)).backward()
    found = [p.grad.clone() for p in rivals.discriminator.parameters() if p.grad is not None]
    rivals.zero_grad()
    yes, _ = rivals.discriminator(true[:2])
    no, _ = rivals.discriminator(rivals.vocoder(true)[:2].detach())
    pairs = zip(yes, no, strict=True)
    hinge = torch.stack([(1 - a).relu().mean() + (1 + b).relu().mean() for a, b in pairs]).mean()
    hinge.backward()
    wanted = [p.grad for p in rivals.discriminator.parameters() if p.grad is not None]
    assert len(found) == len(wanted) == 45
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def test_the_discriminator_has_no_say_before_its_time() -> None:
    torch.manual_seed(0)
    rivals = Rivals()
    rivals.loss(Speech(0.1 * torch.randn(2, 8320), judged=False)).backward()
    assert all(p.grad is None for p in rivals.discriminator.parameters())
    assert all(p.grad is not None for p in rivals.vocoder.parameters())


def test_only_genuine_sound_that_is_long_enough_is_speech_to_learn_from() -> None:
    good = clip(hum(100), ())
    clips = [good, clip(hum(100), WHOLE), clip(hum(100), None), clip(hum(100, 10), ())]
    clips.append(TrainClip(good.sample, None, None))
    chosen = genuine_speech(clips, 20)
    assert [c for c, _ in chosen] == [good]
    assert chosen[0][1] is good.waveform


def test_a_vocoder_learns_to_say_what_it_hears(tmp_path: Path) -> None:
    clips = {
        "train": [clip(hum(pitch), ()) for pitch in (95, 120, 150, 190)],
        "val": [clip(hum(170), ())],
    }
    held = [c.waveform for c in clips["val"] if c.waveform is not None]
    torch.manual_seed(0)
    before = mel_distance(Rivals().vocoder, held, "cpu")
    torch.manual_seed(0)
    run = Run(tmp_path, 0, "cpu", "bfloat16")
    config = StageConfig(40, batch=4, length=13, rate=2e-3, average=0.5, evaluate_every=20)
    vocoder = train_vocoder(clips, config, run)
    assert mel_distance(vocoder, held, "cpu") < 0.6 * before
