"""Speech encoders from files: wav2vec 2.0, HuBERT, WavLM, Whisper as `transformers` keeps them.

torchaudio has the first three (Baevski et al. 2020; Hsu et al. 2021; Chen et al. 2022), and its
names are those of transformers but for attention: transformers itself is not needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.models import wav2vec2_model, wavlm_model

from extractors.clock import SAMPLES_PER_STEP
from extractors.encoder_store import TensorStore, open_store
from extractors.errors import InputError
from extractors.whisper_encoder import HOP, WhisperEncoder, whisper_state
from extractors.whisper_encoder import MARK as WHISPER

MARK = "feature_extractor.conv_layers.0.conv.weight"
# What a config.json may leave out: the classes' defaults, those of the base models.
DEFAULTS: dict[str, Any] = {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "hidden_act": "gelu", "feat_extract_activation": "gelu",
    "layer_norm_eps": 1e-5, "feat_extract_norm": "group", "conv_dim": (512,) * 7,
    "conv_kernel": (10, 3, 3, 3, 3, 2, 2), "conv_stride": (5, 2, 2, 2, 2, 2, 2),
    "conv_bias": False, "num_conv_pos_embeddings": 128, "num_conv_pos_embedding_groups": 16,
    "do_stable_layer_norm": False, "feat_proj_layer_norm": True, "conv_pos_batch_norm": False,
    "num_buckets": 320, "max_bucket_distance": 800,
}  # fmt: skip
# What the networks here do; another value of these settings is refused.
FIXED = {
    "hidden_act": "gelu", "feat_extract_activation": "gelu", "layer_norm_eps": 1e-5,
    "feat_proj_layer_norm": True, "conv_pos_batch_norm": False,
}  # fmt: skip
NORM = re.compile(r"(?<=pos_conv_embed\.conv\.)weight_(g|v)$")  # as older files call it
PROJECTIONS = ("q", "k", "v")


@dataclass(frozen=True, eq=False)
class SpeechEncoder:
    """A frozen speech encoder, with whole tokens in a step of the clock."""

    network: Any  # a module with `extract_features`, as those of torchaudio have it
    layers: tuple[int, ...]  # after which tokens are taken, counted from 1
    width: int
    stride: int  # samples from one token to the next
    lacking: int  # samples that the last token of a step hears of the next one
    levelled: bool  # whether a sound is brought to zero mean and unit variance first

    @torch.no_grad()
    def __call__(self, samples: Tensor) -> list[Tensor]:
        """Return the tokens (N, K, D) after each layer of sounds (N, S) or (N, T, 640) at 16 kHz.

        K = S / stride: a sound is followed by zeros.
        """
        samples = samples.flatten(1)
        if self.levelled:
            mean = samples.mean(dim=1, keepdim=True)
            spread = samples.var(dim=1, keepdim=True, correction=0)
            samples = (samples - mean) / (spread + 1e-7).sqrt()
        padded = functional.pad(samples, (0, self.lacking))
        outputs, _ = self.network.extract_features(padded, num_layers=max(self.layers))
        return [outputs[layer - 1] for layer in self.layers]


def load_speech_encoder(path: Path, layers: Sequence[int]) -> SpeechEncoder:
    """Return the encoder of a folder with `config.json`, or of a file beside one.

    Args:
        path: of safetensors, whole or of a model that holds the encoder under a prefix.
        layers: after which tokens are wanted, counted from 1; those above are not loaded.

    Raises:
        InputError: there is no such file, it is of no kind that is known, or it lacks something.
    """
    store = open_store(path)
    for mark, read in ((MARK, _wav2vec), (WHISPER, _whisper)):
        marks = sorted((name for name in store.places if name.endswith(mark)), key=len)
        if marks:
            try:
                return read(store.behind(marks[0].removesuffix(mark)), tuple(layers))
            except (RuntimeError, KeyError) as error:
                raise InputError(f"{path}: tensors and config.json disagree: {error}") from error
    held = ", ".join(sorted(store.places)[:2])
    raise InputError(
        f"{path}: not a wav2vec 2.0, HuBERT, WavLM or Whisper of transformers: it holds {held}, ..."
    )


def _wav2vec(store: TensorStore, layers: tuple[int, ...]) -> SpeechEncoder:
    settings, path = DEFAULTS | store.settings("config.json"), store.path
    _check_layers(path, layers, settings["num_hidden_layers"])
    for name, value in FIXED.items():
        if settings[name] != value:
            raise InputError(f"{path}: with {name} = {settings[name]!r} it is not known here")
    stride, field = _reach(settings["conv_kernel"], settings["conv_stride"])
    if SAMPLES_PER_STEP % stride:
        raise InputError(f"{path}: tokens {stride} samples apart do not fill a step of 640")
    looks = store.settings("preprocessor_config.json", required=False)
    network = _network(store, settings, max(layers))
    return SpeechEncoder(
        network.requires_grad_(False).eval(), layers, settings["hidden_size"], stride,
        field - stride, looks.get("do_normalize", True),
    )  # fmt: skip


def _whisper(store: TensorStore, layers: tuple[int, ...]) -> SpeechEncoder:
    settings, count = store.settings("config.json"), max(layers, default=0)
    _check_layers(store.path, layers, settings["encoder_layers"])
    if settings.get("activation_function", "gelu") != "gelu":
        raise InputError(f"{store.path}: its activation is not known here")
    network = WhisperEncoder(settings, count)
    network.load_state_dict(whisper_state(store, count))
    return SpeechEncoder(
        network.requires_grad_(False).eval(), layers, settings["d_model"], 2 * HOP, 0, False
    )


def _check_layers(path: Path, layers: Sequence[int], count: int) -> None:
    if not layers or not all(1 <= layer <= count for layer in layers):
        raise InputError(f"{path}: has the layers 1 to {count}, got {list(layers)}")


def _reach(kernels: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Return the samples from a token to the next, and those that it hears."""
    field = 1 + sum((k - 1) * prod(strides[:i]) for i, k in enumerate(kernels))
    return prod(strides), field


def _network(store: TensorStore, settings: Mapping[str, Any], count: int) -> nn.Module:
    """Return the first `count` layers of an encoder, with their weights."""
    layers = zip(
        settings["conv_dim"], settings["conv_kernel"], settings["conv_stride"], strict=True
    )
    sizes = {
        "extractor_mode": f"{settings['feat_extract_norm']}_norm",
        "extractor_conv_layer_config": list(layers),
        "extractor_conv_bias": settings["conv_bias"],
        "encoder_embed_dim": settings["hidden_size"],
        "encoder_projection_dropout": 0.0,
        "encoder_pos_conv_kernel": settings["num_conv_pos_embeddings"],
        "encoder_pos_conv_groups": settings["num_conv_pos_embedding_groups"],
        "encoder_num_layers": count,
        "encoder_num_heads": settings["num_attention_heads"],
        "encoder_attention_dropout": 0.0,
        "encoder_ff_interm_features": settings["intermediate_size"],
        "encoder_ff_interm_dropout": 0.0,
        "encoder_dropout": 0.0,
        "encoder_layer_norm_first": settings["do_stable_layer_norm"],
        "encoder_layer_drop": 0.0,
        "aux_num_out": None,
    }
    biased = "encoder.layers.0.attention.rel_attn_embed.weight" in store
    if biased:
        buckets, most = settings["num_buckets"], settings["max_bucket_distance"]
        network = wavlm_model(**sizes, encoder_num_buckets=buckets, encoder_max_distance=most)
    else:
        network = wav2vec2_model(**sizes)
    network.load_state_dict(_state(store, network.state_dict(), biased))
    return network


def _state(store: TensorStore, wanted: Mapping[str, Tensor], biased: bool) -> dict[str, Tensor]:
    """Return the tensors that a network of torchaudio wants, by its names."""
    theirs = {}
    for name in store.names(""):
        given = NORM.sub(lambda m: f"parametrizations.weight.original{'gv'.index(m[1])}", name)
        theirs[given] = name
    state = {}
    for ours in wanted:
        name = ours.replace("encoder.feature_projection.", "feature_projection.")
        name = name.replace("encoder.transformer.", "encoder.")
        if biased and ".attention.attention." in name:
            name = name.replace(".attention.attention.", ".attention.")
        if biased and ".in_proj_" in name:
            parts = [name.replace("in_proj_", f"{part}_proj.") for part in PROJECTIONS]
            state[ours] = torch.cat([store[part].float() for part in parts])
        else:
            state[ours] = store[theirs.get(name, name)].float()  # raises where it is missing
    return state
