"""Batches: balance between classes and sources, and disturbances that are alike for both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from extractors.spectrogram import log_mel
from extractors.streams import Streams
from pipelines.data.samples import WHOLE, Sample, Spans
from pipelines.train.augment import augment_streams, augment_waveform
from pipelines.train.batches import ONE_SIDED, balanced_weights, collate, draw_batches, random_chunk
from pipelines.train.clips import TrainClip


def clip(
    fake: bool = False, source: str = "lab", steps: int = 40, method: str = "g", face: bool = True
) -> TrainClip:
    spans: Spans = WHOLE if fake else ()
    sample = Sample(
        Path("x.mp4"), "train", method if fake else "real", source, "p", spans, spans, None
    )
    generator = torch.Generator().manual_seed(steps)
    streams = Streams(
        0, 0, face_size=100.0,
        appearance=torch.randint(
            0, 255, (steps, 3, 112, 112), dtype=torch.uint8, generator=generator
        ),
        mouth=torch.randint(0, 255, (steps, 1, 48, 96), dtype=torch.uint8, generator=generator),
        landmarks=torch.randn(steps, 40, 3, generator=generator),
        flow=torch.randn(steps, 2, 56, 56, generator=generator).half(),
        depth=torch.rand(steps, 1, 56, 56, generator=generator).half(),
    )  # fmt: skip
    sound = (torch.randn(steps * 640, generator=generator) * 3000).to(torch.int16)
    return TrainClip(sample, streams if face else None, sound)


def test_both_classes_weigh_alike_and_so_do_they_within_a_source() -> None:
    clips = [clip(False, "a") for _ in range(6)] + [clip(True, "a") for _ in range(2)]
    clips += [clip(True, "b", method="x") for _ in range(4)]
    weights = balanced_weights(clips, "visual")
    assert float(weights[:6].sum()) == pytest.approx(1.0)
    assert float(weights[6:].sum()) == pytest.approx(1.0)
    two_sided, one_sided = float(weights[6:8].sum()), float(weights[8:].sum())
    assert one_sided / two_sided == pytest.approx(ONE_SIDED * (4 / 8) ** 0.5, rel=1e-5)


def test_a_chunk_of_a_partial_forgery_carries_its_truth() -> None:
    forged = clip()
    spans = ((0.8, 1.2),)
    sample = Sample(Path("x.mp4"), "train", "m", "s", "p", spans, (), ())
    forged = TrainClip(sample, forged.face, forged.waveform)
    hits = 0
    for seed in range(40):
        streams, targets = random_chunk(forged, 10, ("appearance",), np.random.default_rng(seed))
        assert streams["appearance"].shape == (10, 3, 112, 112)
        hits += bool((targets[:, 0] == 1).any())
    assert hits > 20  # a random stretch would meet the ten steps in about half the draws


def test_shorter_clips_are_padded_outside_the_mask() -> None:
    chunks = [
        random_chunk(clip(steps=n), 30, ("depth",), np.random.default_rng(0)) for n in (12, 50)
    ]
    batch = collate(chunks)
    assert batch.streams["depth"].shape == (2, 30, 1, 56, 56)
    assert batch.mask.sum(dim=1).tolist() == [12, 30]


def test_batches_are_the_same_after_a_resumption() -> None:
    clips = [clip(False), clip(True)]
    weights = torch.ones(2)
    arguments = (clips, weights, ("mel",), 20, 3, 7)
    whole = list(draw_batches(*arguments, 0, 4))
    resumed = list(draw_batches(*arguments, 2, 4))
    for one, other in zip(whole[2:], resumed, strict=True):
        assert torch.equal(one.streams["mel"], other.streams["mel"])


def test_sound_moved_by_steps_is_the_sound_of_those_steps() -> None:
    sound = clip()
    assert sound.waveform is not None
    whole = log_mel(sound.waveform.numpy().astype(np.float32) / 32768)
    torch.testing.assert_close(sound.mel(10, 30, None, shift=5), whole[15:35], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(sound.mel(0, 10, None), whole[:10], atol=1e-4, rtol=1e-4)


def test_disturbed_streams_keep_their_shape_and_mirror_together() -> None:
    given = clip().chunk(0, 16, ("appearance", "mouth", "landmarks", "flow", "depth"), None)
    compared = 0
    for seed in range(12):
        out = augment_streams(given, np.random.default_rng(seed))
        assert {n: s.shape for n, s in out.items()} == {n: s.shape for n, s in given.items()}
        assert out["appearance"].dtype == torch.uint8
        same, mirrored = (
            torch.corrcoef(torch.stack([out["depth"].flatten().float(), x.flatten().float()]))[0, 1]
            for x in (given["depth"], given["depth"].flip(-1))
        )
        sign = 1 if same > mirrored else -1
        marks = torch.corrcoef(
            torch.stack([out["landmarks"][..., 0].flatten(), given["landmarks"][..., 0].flatten()])
        )[0, 1]
        if abs(float(marks)) > 0.9:  # not slowed down
            assert np.sign(float(marks)) == sign
            compared += 1
    assert compared >= 3


def test_disturbed_sound_has_a_level_that_says_nothing() -> None:
    rng = np.random.default_rng(0)
    quiet = rng.normal(0, 0.001, 16000).astype(np.float32)
    levels = [
        20 * np.log10(np.sqrt(np.mean(augment_waveform(quiet, np.random.default_rng(s)) ** 2)))
        for s in range(20)
    ]
    assert -40 < min(levels) < max(levels) < -8
    assert np.std(levels) > 3
