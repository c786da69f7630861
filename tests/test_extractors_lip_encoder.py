"""A small random AV-HuBERT, computed step by step, beside the network that reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from drawn_encoders import av_hubert
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from extractors.errors import InputError
from extractors.lip_encoder import load_lip_encoder

State = Mapping[str, Tensor]


def normed(x: Tensor, state: State, name: str) -> Tensor:
    """A batch norm of what was seen in training."""
    shape = (1, -1, *[1] * (x.dim() - 2))
    part = {k: state[f"{name}.{k}"].view(shape) for k in ("weight", "bias", "running_mean")}
    spread = (state[f"{name}.running_var"].view(shape) + 1e-5).sqrt()
    return (x - part["running_mean"]) / spread * part["weight"] + part["bias"]


def pictures_side(mouths: Tensor, state: State) -> Tensor:
    """The vectors (N, T, D) of mouths by the paper's network, in plain functions."""
    front = "feature_extractor_video.resnet.frontend3D"
    x = F.conv3d(mouths[:, None], state[f"{front}.0.weight"], None, (1, 2, 2), (2, 3, 3))
    x = F.prelu(normed(x, state, f"{front}.1"), state[f"{front}.2.weight"])
    x = F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    n, _, t, _, _ = x.shape
    x = x.transpose(1, 2).flatten(0, 1)
    for layer in range(1, 5):
        for block in (0, 1):
            own = f"feature_extractor_video.resnet.trunk.layer{layer}.{block}"
            stride = 2 if layer > 1 and block == 0 else 1
            y = F.conv2d(x, state[f"{own}.conv1.weight"], None, stride, 1)
            y = F.prelu(normed(y, state, f"{own}.bn1"), state[f"{own}.relu1.weight"])
            y = normed(F.conv2d(y, state[f"{own}.conv2.weight"], None, 1, 1), state, f"{own}.bn2")
            if stride == 2:
                x = F.conv2d(x, state[f"{own}.downsample.0.weight"], None, 2)
                x = normed(x, state, f"{own}.downsample.1")
            x = F.prelu(y + x, state[f"{own}.relu2.weight"])
    pooled = x.mean(dim=(2, 3)).view(n, t, -1)
    proj = "feature_extractor_video.proj"
    return F.linear(pooled, state[f"{proj}.weight"], state[f"{proj}.bias"])


def affine(x: Tensor, state: State, name: str) -> Tensor:
    return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def layer_norm(x: Tensor, state: State, name: str) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])


def tokens_after(count: int, mouths: Tensor, state: State) -> Tensor:
    """The tokens after `count` layers, each of one head, with the norm before each part."""
    seen = pictures_side((mouths - 0.421) / 0.165, state)
    x = layer_norm(torch.cat([torch.zeros_like(seen), seen], dim=-1), state, "layer_norm")
    x = affine(x, state, "post_extract_proj")
    direction, length = (state[f"encoder.pos_conv.0.weight_{k}"] for k in "vg")
    kernel = direction * length / direction.norm(dim=(0, 1), keepdim=True)
    places = F.conv1d(
        x.transpose(1, 2), kernel, state["encoder.pos_conv.0.bias"], padding=8, groups=4
    )
    x = x + F.gelu(places[..., :-1]).transpose(1, 2)
    for n in range(count):
        own = f"encoder.layers.{n}"
        y = layer_norm(x, state, f"{own}.self_attn_layer_norm")
        q, k, v = (affine(y, state, f"{own}.self_attn.{part}_proj") for part in "qkv")
        heed = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).softmax(dim=-1)
        x = x + affine(heed @ v, state, f"{own}.self_attn.out_proj")
        y = layer_norm(x, state, f"{own}.final_layer_norm")
        x = x + affine(F.gelu(affine(y, state, f"{own}.fc1")), state, f"{own}.fc2")
    return x


@pytest.mark.parametrize("prefix", ["", "w2v_model."])
def test_tokens_are_those_of_the_paper(prefix: str, tmp_path: Path) -> None:
    folder = av_hubert(tmp_path, prefix=prefix)
    encoder = load_lip_encoder(folder, (1, 3))
    mouths = torch.rand(2, 5, 88, 88, generator=torch.Generator().manual_seed(1))
    found = encoder(mouths)
    state = {n.removeprefix(prefix): t for n, t in load_file(folder / "model.safetensors").items()}
    assert encoder.width == 64
    for layer, tokens in zip((1, 3), found, strict=True):
        expected = tokens_after(layer, mouths, state)
        assert expected.std() > 0.1
        torch.testing.assert_close(tokens, expected, rtol=1e-3, atol=1e-3)


def test_layers_above_those_that_are_wanted_are_not_loaded(tmp_path: Path) -> None:
    encoder = load_lip_encoder(av_hubert(tmp_path), (2,))
    assert len(encoder.network.encoder.transformer.layers) == 2
    with pytest.raises(InputError, match=r"has the layers 1 to 3, got \[4\]"):
        load_lip_encoder(tmp_path, (4,))


def test_what_is_no_lip_reader_or_lacks_something_is_refused_by_name(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="not an AV-HuBERT with fairseq's names: it holds x"):
        load_lip_encoder(tmp_path, (1,))
    whole = load_file(av_hubert(tmp_path) / "model.safetensors")
    gone = "feature_extractor_video.proj.bias"
    save_file({n: t for n, t in whole.items() if n != gone}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=f"lacks the tensor {gone}"):
        load_lip_encoder(tmp_path, (1,))
    save_file({**whole, gone: torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="not the shapes of an AV-HuBERT"):
        load_lip_encoder(tmp_path, (1,))
