"""What an utterance's tokens are like: their mean, spread and changes, in few numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avdetect.example import example_waveform
from extractors.spectrogram import log_mel
from temporal.opinions.utterance import STATISTICS, UtteranceOpinion
from temporal.opinions.whisper_file import whisper_bands
from temporal.opinions.whisper_stem import WIDTH


@pytest.fixture(scope="module")
def judge() -> UtteranceOpinion:
    torch.manual_seed(0)
    made = UtteranceOpinion(100).eval()
    made.bands.copy_(whisper_bands())
    return made


@pytest.fixture(scope="module")
def mel() -> Tensor:
    return log_mel(torch.from_numpy(example_waveform(75)[: 75 * 640]))[None]


def test_three_statistics_of_the_tokens_after_the_convolutions_and_the_block(
    judge: UtteranceOpinion, mel: Tensor
) -> None:
    found = judge.describe(mel, torch.ones(1, 75, dtype=torch.bool))
    assert found.shape == (1, 75, STATISTICS * WIDTH)
    # three seconds: each step sees all of it
    expected = []
    for tokens in judge.stem.layers(judge.levelled(mel, torch.ones(1, 75, dtype=torch.bool))):
        x = tokens[0].double()
        change = x.diff(dim=0).square().mean(dim=0).sqrt()
        expected += [x.mean(dim=0), x.std(dim=0, correction=0), change]
    assert (found[0, 37].double() - torch.cat(expected)).abs().max() < 1e-3


def test_what_is_outside_the_mask_has_no_part_in_the_statistics(
    judge: UtteranceOpinion, mel: Tensor
) -> None:
    mask = torch.ones(1, 75, dtype=torch.bool)
    mask[:, 40:] = False
    found = judge.describe(mel, mask)
    for index, tokens in enumerate(judge.stem.layers(judge.levelled(mel, mask))):
        x = tokens[0, :80].double()
        begin = 3 * index * WIDTH
        mean, change = found[0, 10, begin : begin + WIDTH], found[0, 10, begin + 2 * WIDTH :]
        assert (mean.double() - x.mean(dim=0)).abs().max() < 1e-3
        jumps = x.diff(dim=0).square().mean(dim=0).sqrt()
        assert (change[:WIDTH].double() - jumps).abs().max() < 1e-3


def test_the_volume_of_a_recording_says_nothing(judge: UtteranceOpinion, mel: Tensor) -> None:
    mask = torch.ones(1, 75, dtype=torch.bool)
    first, louder = judge.describe(mel, mask), judge.describe(mel + 1.0, mask)
    torch.testing.assert_close(first, louder, rtol=1e-2, atol=1e-2)


def test_an_unfitted_opinion_says_nothing_and_no_gradient_changes_it(
    judge: UtteranceOpinion, mel: Tensor
) -> None:
    assert not judge(mel, torch.ones(1, 75, dtype=torch.bool)).any()
    assert not any(p.requires_grad for p in judge.parameters())
