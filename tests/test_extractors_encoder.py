"""The encoder is CLIP's, block by block, and knows the later forms' activations and tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from extractors.encoder import Block, EncoderConfig, VisionTransformer

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


def test_orthogonal_values_attend_to_themselves() -> None:
    """Of orthogonal values of length s each weighs exp(s²/√D) for itself, 1 for every other."""
    block = Block(replace(SMALL, heads=1))
    block.norm1 = nn.Identity()  # type: ignore[assignment]
    x = nn.init.orthogonal_(torch.empty(16, 16))[None, :5]
    for scale in (1.0, 2.0, 8.0):
        with torch.no_grad():
            block.qkv.weight.copy_(torch.cat([torch.randn(32, 16), scale * torch.eye(16)]))
            block.qkv.bias.zero_()
            block.out.weight.copy_(torch.eye(16))
            block.out.bias.zero_()
            added = block.values_attended(x)
        own = torch.tensor(scale**2 / 4).exp()  # a: sqrt(D) is 4
        weights = (torch.eye(5) * (own - 1) + 1) / (own + 4)
        assert torch.allclose(added, weights @ (scale * x), atol=1e-5)
    assert torch.allclose(added, scale * x, atol=1e-4)


def test_tokens_of_values_are_the_usual_ones_where_all_blocks_run_as_they_are(
    encoder: VisionTransformer,
) -> None:
    pictures = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        (usual,) = encoder(pictures, [2])
        assert torch.equal(encoder.value_tokens(pictures, 2), usual[:, 1:])
        (before,) = encoder(pictures, [1])
        added = encoder.blocks[1].values_attended(before)
        assert torch.allclose(encoder.value_tokens(pictures, 1), (before + added)[:, 1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "relu"}, "activation must be one of"),
        ({"image": 33}, "patches must fill the image"),
        ({"rotary": 100.0, "heads": 8}, "rotary positions need heads"),
    ],
)
def test_an_architecture_that_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    fields = {"width": 16, "heads": 2, "hidden": 24, "layers": 2, "patch": 8, "image": 32}
    with pytest.raises(ValueError, match=message):
        EncoderConfig(**(fields | change))  # type: ignore[arg-type]


def test_registers_are_seen_by_all_and_told_to_none() -> None:
    config = EncoderConfig(
        width=16, heads=2, hidden=24, layers=1, patch=8, image=32, registers=3, class_token=False
    )
    made = VisionTransformer(config).eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.2)
    pictures = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        before = made(pictures, [1])[0]
        assert made.registers is not None
        made.registers.neg_()
        after = made(pictures, [1])[0]
    assert before.shape == (2, 16, 16)
    assert not torch.allclose(before, after)
