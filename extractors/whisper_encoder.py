"""Whisper's encoder (Radford et al. 2023) as `transformers` keeps it: sound in, tokens out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu
from torchaudio.functional import melscale_fbanks

from extractors.clock import SAMPLE_RATE
from extractors.encoder_store import TensorStore

MARK = "encoder.conv1.weight"
WINDOW, HOP = 400, 160  # samples of its spectrogram's columns, of which a token has two
QUIETEST, RANGE = 1e-10, 8.0  # power at which it clips; decades below the loudest, where too
LAYERS = {
    "norm1": "self_attn_layer_norm", "self_attn.out_proj": "self_attn.out_proj",
    "norm2": "final_layer_norm", "linear1": "fc1", "linear2": "fc2",
}  # fmt: skip


class WhisperEncoder(nn.Module):
    """Its spectrogram, convolutions and first layers; a sound is not filled up to 30 s."""

    window: Tensor  # (400,)
    bands: Tensor  # (201, M) of mel, by Slaney's formula
    positions: Tensor  # (P, D)

    def __init__(self, settings: Mapping[str, Any], count: int) -> None:
        """Make an encoder of `count` layers by the fields of a config.json."""
        super().__init__()
        width, mels = settings["d_model"], settings["num_mel_bins"]
        filters = melscale_fbanks(
            WINDOW // 2 + 1, 0.0, SAMPLE_RATE / 2, mels, SAMPLE_RATE, "slaney", "slaney"
        )
        self.register_buffer("bands", filters, persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.register_buffer("positions", torch.zeros(settings["max_source_positions"], width))
        self.conv1 = nn.Conv1d(mels, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        heads, hidden = settings["encoder_attention_heads"], settings["encoder_ffn_dim"]
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, hidden, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(count)
        )

    def extract_features(self, samples: Tensor, num_layers: int) -> tuple[list[Tensor], None]:
        """Return the tokens (N, S / 320, D) of sounds (N, S) after each layer, and no lengths."""
        x = gelu(self.conv2(gelu(self.conv1(self.heard(samples))))).transpose(1, 2)
        x, found = x + self.positions[: x.shape[1]], []
        for layer in self.layers[:num_layers]:
            x = layer(x)
            found.append(x)
        return found, None

    def heard(self, samples: Tensor) -> Tensor:
        """Return the log-mel power (N, M, S / 160) of sounds (N, S), in units of four decades."""
        with torch.autocast(samples.device.type, enabled=False):
            waves = torch.stft(samples, WINDOW, HOP, window=self.window, return_complex=True)
            power = self.bands.T @ waves[..., :-1].abs().square()
            decades = power.clamp(min=QUIETEST).log10()
            loudest = decades.amax(dim=(1, 2), keepdim=True)
            return (torch.maximum(decades, loudest - RANGE) + 4.0) / 4.0


def whisper_state(store: TensorStore, count: int) -> dict[str, Tensor]:
    """Return the weights of a `WhisperEncoder` from the tensors of a whole model.

    Raises:
        InputError: one is missing.
    """
    kinds = ("weight", "bias")
    state = {f"conv{i}.{kind}": store[f"encoder.conv{i}.{kind}"] for i in (1, 2) for kind in kinds}
    state["positions"] = store["encoder.embed_positions.weight"]
    for n in range(count):
        theirs = f"encoder.layers.{n}."
        for ours, name in LAYERS.items():
            for kind in kinds:
                state[f"layers.{n}.{ours}.{kind}"] = store[f"{theirs}{name}.{kind}"]
        parts = [store[f"{theirs}self_attn.{part}_proj.weight"] for part in ("q", "k", "v")]
        biases = [store[f"{theirs}self_attn.{part}_proj.bias"] for part in ("q", "v")]
        state[f"layers.{n}.self_attn.in_proj_weight"] = torch.cat(parts)
        bias = torch.cat([biases[0], torch.zeros_like(biases[0]), biases[1]])  # keys have none
        state[f"layers.{n}.self_attn.in_proj_bias"] = bias
    return {name: tensor.float() for name, tensor in state.items()}
