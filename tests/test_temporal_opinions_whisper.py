"""What Whisper hears: its spectrogram from ours, its layers, and how their tokens spread."""

from __future__ import annotations

import math

import librosa
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear

from avdetect.example import example_waveform
from extractors.spectrogram import log_mel
from temporal.opinions.whisper import WhisperOpinion
from temporal.opinions.whisper_file import whisper_bands
from temporal.opinions.whisper_stem import WIDTH, WhisperStem, positions


@pytest.fixture(scope="module")
def judge() -> WhisperOpinion:
    torch.manual_seed(0)
    made = WhisperOpinion(100).eval()
    made.bands.copy_(whisper_bands())
    return made


@pytest.fixture(scope="module")
def voice() -> Tensor:
    return torch.from_numpy(example_waveform(75)[: 75 * 640])


def test_whispers_spectrogram_is_nearly_that_of_its_authors(
    judge: WhisperOpinion, voice: Tensor
) -> None:
    heard = judge.heard(log_mel(voice)[None])[0].numpy()
    power = librosa.feature.melspectrogram(
        y=voice.numpy(), sr=16_000, n_fft=400, hop_length=160, n_mels=80
    )
    decades = np.log10(np.maximum(power, 1e-10))
    theirs = (np.maximum(decades, decades.max() - 8) + 4) / 4
    assert heard.shape == (80, 300)
    likeness = np.corrcoef(heard.ravel(), theirs[:, : heard.shape[1]].ravel())[0, 1]
    assert likeness > 0.95


def test_no_band_takes_power_away() -> None:
    bands = whisper_bands()
    assert bands.shape == (80, 80)
    assert bool((bands >= 0).all())
    flat = bands @ torch.from_numpy(
        librosa.filters.mel(sr=16_000, n_fft=400, n_mels=80, htk=True, norm=None).sum(axis=1)
    )
    asked = librosa.filters.mel(sr=16_000, n_fft=400, n_mels=80).sum(axis=1)
    assert np.abs(flat.numpy() / asked - 1).max() < 0.35  # white noise: at most 1.3 dB off
    assert np.abs(flat.numpy() / asked - 1).mean() < 0.15


def test_positions_are_sines_then_cosines() -> None:
    made = positions(4, torch.device("cpu"))
    assert made.shape == (4, WIDTH)
    assert made[0].tolist() == [0.0] * 256 + [1.0] * 256
    assert float(made[3, 0]) == pytest.approx(math.sin(3))  # the fastest turns a radian a token
    assert float(made[3, 255]) == pytest.approx(math.sin(3e-4), rel=1e-4)
    assert float(made[2, 256]) == pytest.approx(math.cos(2))


def test_the_block_is_that_of_the_paper() -> None:
    """Norm first, eight heads, no mask: written out by hand."""
    torch.manual_seed(1)
    stem = WhisperStem().eval()
    mel, state = torch.randn(2, 80, 40), stem.state_dict()
    x = gelu(stem.conv2(gelu(stem.conv1(mel)))).transpose(1, 2) + positions(20, mel.device)

    def part(given: Tensor, name: str) -> Tensor:
        return linear(given, state[f"block.{name}weight"], state[f"block.{name}bias"])

    def norm(given: Tensor, name: str) -> Tensor:
        weight, bias = state[f"block.{name}.weight"], state[f"block.{name}.bias"]
        return layer_norm(given, (WIDTH,), weight, bias)

    heads = [
        t.unflatten(2, (8, 64)) for t in part(norm(x, "norm1"), "self_attn.in_proj_").chunk(3, 2)
    ]
    query, key, value = heads
    attention = (torch.einsum("nqhc,nkhc->nhqk", query, key) / 8).softmax(dim=3)
    seen = torch.einsum("nhqk,nkhc->nqhc", attention, value).flatten(2)
    x = x + part(seen, "self_attn.out_proj.")
    x = x + part(gelu(part(norm(x, "norm2"), "linear1.")), "linear2.")
    torch.testing.assert_close(stem(mel), x, rtol=1e-4, atol=1e-4)


def test_the_spread_is_that_of_the_tokens_around(judge: WhisperOpinion, voice: Tensor) -> None:
    mel = log_mel(voice)[None]
    mask = torch.ones(1, 75, dtype=torch.bool)
    spread = judge.describe(mel, mask)
    x = judge.heard(mel)
    tokens = judge.stem(x - x.mean(dim=2, keepdim=True))[0].double()
    assert tokens.shape == (150, WIDTH)
    expected = tokens.std(dim=0, correction=0)  # three seconds: each step sees all of it
    torch.testing.assert_close(spread[0, 37].double(), expected, rtol=1e-3, atol=1e-4)


def test_another_microphone_changes_little(judge: WhisperOpinion, voice: Tensor) -> None:
    """A gain, and a loss of the high notes, next to another voice."""
    mask = torch.ones(1, 75, dtype=torch.bool)
    mel = log_mel(voice)[None]
    dull = mel - torch.linspace(0, 3, 80)[:, None]
    other = log_mel(torch.randn(75 * 640, generator=torch.Generator().manual_seed(0)) * 0.1)[None]
    same, retold, noise = (judge.describe(m, mask)[0, 37] for m in (mel, dull, other))
    assert float((retold - same).norm()) < 0.5 * float((noise - same).norm())


def test_a_judge_that_learned_nothing_says_nothing(judge: WhisperOpinion, voice: Tensor) -> None:
    mask = torch.ones(1, 75, dtype=torch.bool)
    assert not judge(log_mel(voice)[None], mask).any()
    assert not any(p.requires_grad for p in judge.parameters())
