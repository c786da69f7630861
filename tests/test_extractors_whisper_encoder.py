"""Whisper's encoder of small random weights, against the library's own and by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from extractors.encoded_windows import EncodedWindows
from extractors.errors import InputError
from extractors.speech_encoder import load_speech_encoder
from extractors.whisper_encoder import WhisperEncoder

SIZES: dict[str, Any] = {
    "d_model": 16, "encoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 32,
    "num_mel_bins": 80, "max_source_positions": 200,
}  # fmt: skip


def saved(folder: Path, **more: Any) -> Path:
    """Write a small random Whisper, as transformers itself writes it."""
    transformers = pytest.importorskip("transformers")
    config = transformers.WhisperConfig(
        **SIZES | more, decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=16,
        vocab_size=20, pad_token_id=0, bos_token_id=0, eos_token_id=0, decoder_start_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.WhisperForConditionalGeneration(config).save_pretrained(folder)
    return folder


def sound(steps: int) -> torch.Tensor:
    return 0.1 * torch.randn(steps, 640, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("bands", [80, 128])
def test_tokens_are_those_of_the_library(bands: int, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    saved(tmp_path, max_source_positions=40, num_mel_bins=bands)
    heard = sound(20).flatten()
    listen = transformers.WhisperFeatureExtractor(feature_size=bands)
    mel = listen(heard.numpy(), sampling_rate=16_000, padding="do_not_pad", return_tensors="pt")
    model = transformers.WhisperModel.from_pretrained(tmp_path).eval().encoder
    with torch.no_grad():
        theirs = model(mel["input_features"], output_hidden_states=True).hidden_states
    for layer, tokens in zip(
        (1, 2), load_speech_encoder(tmp_path, (1, 2))(heard[None]), strict=True
    ):
        assert tokens.shape == (1, 40, 16)
        torch.testing.assert_close(tokens, theirs[layer], rtol=0, atol=1e-4)


def test_features_stand_on_the_clock(tmp_path: Path) -> None:
    make = EncodedWindows(load_speech_encoder(saved(tmp_path), (2,)), "cpu", torch.float32)
    features = make(0, sound(120))
    assert features.shape == (120, 1, 16)
    assert features.isfinite().all()


def test_layers_that_it_has_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has the layers 1 to 3, got \[4\]"):
        load_speech_encoder(saved(tmp_path), (4,))


def test_a_tone_is_heard_in_the_band_of_its_frequency() -> None:
    encoder = WhisperEncoder(SIZES, 0)
    times = torch.arange(16_000) / 16_000
    tones = torch.stack([torch.sin(2 * torch.pi * f * times) for f in (500.0, 2000.0)])
    found = encoder.heard(tones)
    assert found.shape == (2, 80, 100)
    loudest = found.mean(dim=2).argmax(dim=1)
    peaks = encoder.bands.argmax(dim=0) * 40.0  # hertz: 201 bins up to 8 kHz
    assert peaks[loudest].tolist() == pytest.approx([500.0, 2000.0], abs=60.0)
    ranges = found.amax(dim=(1, 2)) - found.amin(dim=(1, 2))
    assert ranges.tolist() == pytest.approx([2.0, 2.0], abs=1e-4), "eight decades, in units of four"


def test_a_token_knows_its_place() -> None:
    torch.manual_seed(0)
    encoder = WhisperEncoder(SIZES, 1).eval()
    still = torch.zeros(1, 6400)
    (before,), _ = encoder.extract_features(still, 1)
    encoder.positions[3] += 1.0
    (after,), _ = encoder.extract_features(still, 1)
    moved = (after - before).abs().sum(dim=2)[0]
    assert int(moved.argmax()) == 3
