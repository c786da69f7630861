"""The encoder is CLIP's, block by block, in any precision that a file keeps it in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from extractors.encoder import (
    FORMAT,
    EncoderConfig,
    VisionTransformer,
    load_encoder,
    multiplied_out,
    save_encoder,
)
from extractors.errors import InputError

SMALL = EncoderConfig(
    name="small", width=16, heads=2, hidden=24, layers=2, patch=8, image=32, activation="gelu"
)


@pytest.fixture
def encoder() -> VisionTransformer:
    torch.manual_seed(3)
    made = VisionTransformer(SMALL).eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.2)
    return made


def test_a_block_is_torch_s_own_pre_norm_encoder_layer(encoder: VisionTransformer) -> None:
    layer = nn.TransformerEncoderLayer(
        16, 2, 24, 0.0, "gelu", batch_first=True, norm_first=True
    ).eval()
    block = encoder.blocks[0]
    own = dict(block.named_parameters())
    names = {
        "self_attn.in_proj_weight": "qkv.weight", "self_attn.in_proj_bias": "qkv.bias",
        "self_attn.out_proj.weight": "out.weight", "self_attn.out_proj.bias": "out.bias",
        "linear1.weight": "fc1.weight", "linear1.bias": "fc1.bias",
        "linear2.weight": "fc2.weight", "linear2.bias": "fc2.bias",
        "norm1.weight": "norm1.weight", "norm1.bias": "norm1.bias",
        "norm2.weight": "norm2.weight", "norm2.bias": "norm2.bias",
    }  # fmt: skip
    layer.load_state_dict({theirs: own[ours] for theirs, ours in names.items()})
    x = torch.randn(3, 17, 16)
    with torch.no_grad():
        assert torch.allclose(block(x), layer(x), atol=1e-5)


def test_tokens_come_after_each_block_that_is_asked_for(encoder: VisionTransformer) -> None:
    pictures = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        none, one, two = encoder(pictures, [0, 1, 2])
        assert torch.equal(encoder(pictures, [1])[0], one)
    assert none.shape == one.shape == two.shape == (2, 17, 16)
    assert torch.allclose(encoder.blocks[1](one), two)


def test_int8_matrices_are_multiplied_out_by_their_rows_scales() -> None:
    kept = {
        "a.weight": torch.tensor([[1, -2], [3, 4]], dtype=torch.int8),
        "a.scale": torch.tensor([0.5, 2.0]),
        "b": torch.tensor([1.5]).half(),
    }
    full = multiplied_out(kept)
    assert torch.equal(full["a.weight"], torch.tensor([[0.5, -1.0], [6.0, 8.0]]))
    assert full.keys() == {"a.weight", "b"}
    assert full["b"].dtype == torch.float32


def test_an_encoder_comes_back_from_its_file_whole_or_in_part(
    encoder: VisionTransformer, tmp_path: Path
) -> None:
    path = tmp_path / "e.safetensors"
    save_encoder(path, SMALL, encoder.state_dict())
    again, half = load_encoder(path), load_encoder(path, 1)
    pictures = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(again(pictures, [2])[0], encoder(pictures, [2])[0])
        assert torch.equal(half(pictures, [1])[0], encoder(pictures, [1])[0])
    with pytest.raises(InputError, match="has 2 blocks, and 3 are needed"):
        load_encoder(path, 3)


def test_a_file_that_holds_no_encoder_is_refused_by_name(tmp_path: Path) -> None:
    other, broken = tmp_path / "other.safetensors", tmp_path / "broken.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    save_file({"a": torch.zeros(1)}, broken, {"format": FORMAT, "config": json.dumps({"x": 1})})
    for path in (other, broken, tmp_path / "none.safetensors"):
        with pytest.raises(InputError, match=path.name):
            load_encoder(path)
