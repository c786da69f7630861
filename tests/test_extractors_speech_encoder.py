"""Speech encoders of small random weights, as transformers keeps them, on the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_encoders import SPEECH_SIZES, wav2vec2
from drawn_media import chunks
from safetensors.torch import load_file, save_file

from extractors.encoded_windows import AROUND, CELL, EncodedWindows
from extractors.errors import InputError
from extractors.speech_encoder import SpeechEncoder, load_speech_encoder
from extractors.stream_extractor import StreamExtractor
from extractors.streams import StreamConfig

LARGE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}


def saved(folder: Path, kind: str = "Wav2Vec2", **more: Any) -> Path:
    """Write a small random model of transformers, as the library itself writes it."""
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{kind}Config")(**SPEECH_SIZES | more)
    torch.manual_seed(0)
    model = getattr(transformers, f"{kind}Model")(config).eval()
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def sound(steps: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(steps, 640, generator=generator)


@pytest.mark.parametrize(
    ("kind", "more"),
    [("Wav2Vec2", {}), ("Wav2Vec2", LARGE), ("Hubert", {}), ("Hubert", LARGE), ("WavLM", {}),
     ("WavLM", LARGE)],
)  # fmt: skip
def test_tokens_are_those_of_the_library(kind: str, more: dict[str, Any], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    encoder = load_speech_encoder(saved(tmp_path, kind, **more), (1, 2))
    model = getattr(transformers, f"{kind}Model").from_pretrained(tmp_path).eval()
    heard = sound(20).flatten()[None]
    found = encoder(heard)
    level = (heard - heard.mean()) / (heard.var(correction=0) + 1e-7).sqrt()
    with torch.no_grad():
        padded = torch.nn.functional.pad(level, (0, 80))
        theirs = model(padded, output_hidden_states=True).hidden_states
    for layer, tokens in zip((1, 2), found, strict=True):
        assert tokens.shape == (1, 40, 16)
        torch.testing.assert_close(tokens, theirs[layer], rtol=0, atol=2e-5)


def test_older_names_behind_a_prefix_and_fewer_layers_are_read(tmp_path: Path) -> None:
    encoder = load_speech_encoder(wav2vec2(tmp_path), (2,))
    assert (encoder.width, encoder.stride, encoder.lacking) == (16, 320, 80)
    kept = load_file(tmp_path / "model.safetensors")
    direct = kept["wav2vec2.encoder.pos_conv_embed.conv.weight_v"]
    state = encoder.network.state_dict()
    name = "encoder.transformer.pos_conv_embed.conv.parametrizations.weight.original1"
    assert torch.equal(state[name], direct)
    assert not any(".layers.2." in each for each in state), "the third layer is not needed"


def test_a_step_has_the_tokens_of_its_own_samples(tmp_path: Path) -> None:
    folder = wav2vec2(tmp_path)
    encoder = load_speech_encoder(folder, (1,))
    convolved, _ = encoder.network.feature_extractor(
        torch.nn.functional.pad(sound(10).flatten()[None], (0, encoder.lacking)), None
    )
    changed = sound(10)
    changed[6] = 3 * sound(10, 1)[6]  # the seventh step alone
    after, _ = encoder.network.feature_extractor(
        torch.nn.functional.pad(changed.flatten()[None], (0, encoder.lacking)), None
    )
    assert convolved.shape[1] == 20
    # a group norm over time moves every token a little; those of the step move most
    moved = (after - convolved).abs().sum(dim=2)[0]
    assert set(moved.topk(2).indices.tolist()) == {12, 13}


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"hidden_act": "relu"}, "with hidden_act = 'relu' it is not known here"),
        ({"conv_stride": [5, 2, 2, 2, 2, 2, 3]}, "tokens 480 samples apart do not fill a step"),
        ({"num_hidden_layers": 1}, r"has the layers 1 to 1, got \[2\]"),
        ({"hidden_size": 8}, "tensors and config.json disagree"),
    ],
)
def test_what_is_not_known_is_refused_in_one_sentence(
    settings: dict[str, Any], why: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=why) as error:
        load_speech_encoder(wav2vec2(tmp_path, **settings), (2,))
    assert str(error.value).startswith(str(tmp_path))


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"not a wav2vec 2\.0, HuBERT, WavLM or Whisper"):
        load_speech_encoder(tmp_path, (1,))


def counting(layers: int = 1) -> SpeechEncoder:
    """An encoder of one channel whose token is the mean of its own 320 samples."""

    class Means(torch.nn.Module):
        def extract_features(self, x: torch.Tensor, num_layers: int) -> Any:
            return [x.unflatten(1, (-1, 320)).mean(dim=2)[..., None]] * num_layers, None

    return SpeechEncoder(Means(), tuple(range(1, layers + 1)), 1, 320, 0, levelled=False)


def test_windows_give_every_step_its_own_features_wherever_a_block_begins() -> None:
    ramp = torch.arange(300.0)[:, None].expand(300, 640).contiguous() / 300
    make = EncodedWindows(counting(2), "cpu", torch.float32)
    for start in (0, 17, 64):
        features = make(start, ramp)
        assert features.shape == (300, 2, 1)
        assert torch.allclose(features[:, 0, 0].float(), ramp[:, 0], atol=1e-3)


def test_blocks_of_a_long_sound_have_the_features_of_the_whole(tmp_path: Path) -> None:
    wav2vec2(tmp_path)
    waveform = sound(500).flatten().numpy().astype(np.float32)
    settings: dict[str, Any] = {
        "speech_encoder": str(tmp_path), "speech_layers": (2,), "added": ("speech_features",),
        "precision": "float32",
    }  # fmt: skip
    (whole,) = StreamExtractor(StreamConfig(**settings))(chunks(None, waveform, 50))
    shared = CELL + AROUND
    config = StreamConfig(block=150, context=shared, **settings)
    blocks = list(StreamExtractor(config)(chunks(None, waveform, 70)))
    assert len(blocks) > 2
    kept = [b.added["speech_features"][b.lead : b.steps - b.trail] for b in blocks]
    assert whole.added["speech_features"].shape == (500, 1, 16)
    torch.testing.assert_close(
        torch.cat(kept), whole.added["speech_features"], rtol=0, atol=2e-3
    )  # fmt: skip
    assert "samples" not in whole.present()


@pytest.mark.gpu
def test_cuda_gives_the_features_of_the_cpu(tmp_path: Path) -> None:
    wav2vec2(tmp_path)
    here, there = (
        EncodedWindows(load_speech_encoder(tmp_path, (1, 3)), device, torch.float32)(0, sound(120))
        for device in ("cpu", "cuda")
    )
    torch.testing.assert_close(there, here, rtol=0, atol=1e-2)
