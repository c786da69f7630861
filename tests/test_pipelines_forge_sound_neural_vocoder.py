"""The neural vocoder: what it hears, what it says, and what it may not know."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from pipelines.forge.sound.neural_vocoder import (
    HOP,
    SIZE,
    Vocoder,
    log_mel_magnitude,
    respeak,
    smoothed,
)


@pytest.fixture(scope="module")
def vocoder() -> Vocoder:
    torch.manual_seed(0)
    return Vocoder().eval()


def noise(samples: int, level: float = 0.1) -> Tensor:
    return level * torch.randn(1, samples, generator=torch.Generator().manual_seed(1))


def test_a_tone_is_loudest_in_the_mel_band_that_holds_it() -> None:
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(16_000) / 16_000)[None]
    mel = log_mel_magnitude(80, SIZE, HOP)(tone)
    # Slaney's scale is linear to 1000 Hz = 15 mel, then 27 steps of ln(6.4) each; 8000 Hz = 45.245
    step = (15 + 27 * np.log(8) / np.log(6.4)) / 81
    assert mel.shape == (1, 80, 16_000 // HOP + 1)
    assert abs(int(mel[0, :, 30].argmax()) - (15 / step - 1)) <= 1


def test_the_vocoder_knows_no_phase_but_what_the_mel_spectrum_tells(vocoder: Vocoder) -> None:
    heard = noise(9000)
    with torch.inference_mode():
        assert torch.equal(vocoder(heard), vocoder(-heard))  # same magnitudes
        assert not torch.equal(vocoder(heard), vocoder(heard.flip(1)))
        assert vocoder(heard).shape == heard.shape


def test_what_is_said_is_as_long_and_as_loud_as_what_was_heard(vocoder: Vocoder) -> None:
    for seed, samples in enumerate((2000, 16_000, 40_321)):
        heard = noise(samples, 0.02)[0].numpy()
        said = respeak(vocoder, heard, np.random.default_rng(seed))
        assert said.shape == heard.shape
        assert said.dtype == np.float32
        assert np.sqrt(np.mean(said**2)) == pytest.approx(np.sqrt(np.mean(heard**2)), rel=0.02)
        assert np.abs(said - heard).max() > 0.01


@pytest.mark.parametrize("heard", [np.zeros(8000, np.float32), np.zeros(0, np.float32)])
def test_silence_stays_silence(vocoder: Vocoder, heard: np.ndarray) -> None:  # type: ignore[type-arg]
    assert np.array_equal(respeak(vocoder, heard, np.random.default_rng(0)), heard)


def test_a_smoothed_spectrum_is_scipys_gaussian_of_it() -> None:
    mel = torch.randn(2, 80, 30, generator=torch.Generator().manual_seed(0))
    wanted = [gaussian_filter(x, (0.8, 0.6), mode="nearest", radius=3) for x in mel.numpy()]
    np.testing.assert_allclose(smoothed(mel, 0.8, 0.6).numpy(), np.stack(wanted), atol=1e-5)
