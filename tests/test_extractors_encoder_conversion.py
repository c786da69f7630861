"""Encoders of other libraries give those libraries' tokens, by their plain arithmetic and by them.

The arithmetic is written out here head by head, in the libraries' own names. Where a library is
installed (none is needed), its own model is the truth as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drawn_encoders as drawn
import pytest
import torch
from drawn_encoders import (
    BLOCKS,
    HEADS,
    HIDDEN,
    IMAGE,
    LOOKS,
    PATCH,
    PLACES,
    SETTINGS,
    SIDE,
    State,
    write,
)  # fmt: skip
from drawn_encoders import WIDTH as D
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import gelu, interpolate, layer_norm, silu

from extractors.encoder_file import load_encoder
from extractors.errors import InputError


def quick(h: Tensor) -> Tensor:
    return h * torch.sigmoid(1.702 * h)


def linear(state: State, name: str, x: Tensor) -> Tensor:
    bias = state.get(f"{name}.bias")
    return x @ state[f"{name}.weight"].T + (0 if bias is None else bias)


def norm(state: State, name: str, x: Tensor, eps: float) -> Tensor:
    return layer_norm(x, (D,), state[f"{name}.weight"], state[f"{name}.bias"], eps)


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of tokens (P, D), one head after the other."""
    size = D // HEADS
    heads = []
    for h in range(HEADS):
        own = slice(h * size, (h + 1) * size)
        scores = q[:, own] @ k[:, own].T / math.sqrt(size)
        heads.append(scores.softmax(dim=-1) @ v[:, own])
    return torch.cat(heads, dim=1)


def patches(state: State, name: str, picture: Tensor) -> Tensor:
    """Embedded patches (P, D) of a picture (3, S, S), row by row."""
    bias = state.get(f"{name}.bias", torch.zeros(D))
    side = picture.shape[1] // PATCH
    cut = [
        picture[:, r * PATCH : (r + 1) * PATCH, c * PATCH : (c + 1) * PATCH]
        for r in range(side)
        for c in range(side)
    ]
    return torch.stack([(state[f"{name}.weight"] * piece).sum((1, 2, 3)) + bias for piece in cut])


def split_blocks(
    state: State,
    x: Tensor,
    stem: str,
    names: tuple[str, str, tuple[str, str, str], str],
    mlp: Callable[[State, str, Tensor], Tensor],
    eps: float,
    scale: str | None = None,
    turn: Callable[[Tensor], Tensor] = lambda q: q,
) -> Tensor:
    """Tokens after all blocks whose queries, keys and values are layers of their own."""
    norm1, norm2, (query, key, value), out = names
    for n in range(BLOCKS):
        at = stem.format(n)
        h = norm(state, at + norm1, x, eps)
        q, k, v = (linear(state, at + name, h) for name in (query, key, value))
        h = linear(state, at + out, attention(turn(q), turn(k), v))
        x = x + (h if scale is None else h * state[at + scale.format(1)])
        h = mlp(state, at + "mlp.", norm(state, at + norm2, x, eps))
        x = x + (h if scale is None else h * state[at + scale.format(2)])
    return x


def two_layers(activation: Callable[[Tensor], Tensor]) -> Callable[[State, str, Tensor], Tensor]:
    return lambda state, at, x: linear(state, at + "fc2", activation(linear(state, at + "fc1", x)))


def gate2(state: State, at: str, x: Tensor) -> Tensor:
    first, second = linear(state, at + "weights_in", x).split(HIDDEN, dim=1)
    return linear(state, at + "weights_out", silu(first) * second)


def mlp3(state: State, at: str, x: Tensor) -> Tensor:
    up = linear(state, at + "up_proj", x)
    if at + "gate_proj.weight" in state:
        return linear(state, at + "down_proj", silu(linear(state, at + "gate_proj", x)) * up)
    return linear(state, at + "down_proj", gelu(up))


def tanh(h: Tensor) -> Tensor:
    return 0.5 * h * (1 + torch.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))


def plain_clip(state: State, picture: Tensor) -> Tensor:
    at = "vision_model."
    x = patches(state, at + "embeddings.patch_embedding", picture)
    x = torch.cat([state[at + "embeddings.class_embedding"][None], x])
    x = x + state[at + "embeddings.position_embedding.weight"]
    names = ("layer_norm1", "layer_norm2", ATTENTION, "self_attn.out_proj")
    x = norm(state, at + "pre_layrnorm", x, 1e-5)
    return split_blocks(state, x, at + "encoder.layers.{}.", names, two_layers(quick), 1e-5)


ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


def plain_siglip(state: State, picture: Tensor) -> Tensor:
    at = "vision_model."
    x = patches(state, at + "embeddings.patch_embedding", picture)
    x = x + state[at + "embeddings.position_embedding.weight"]
    names = ("layer_norm1", "layer_norm2", ATTENTION, "self_attn.out_proj")
    return split_blocks(state, x, at + "encoder.layers.{}.", names, two_layers(tanh), 1e-6)


def plain_dinov2(state: State, picture: Tensor) -> Tensor:
    x = patches(state, "embeddings.patch_embeddings.projection", picture)
    x = torch.cat([state["embeddings.cls_token"][0], x])
    x = x + state["embeddings.position_embeddings"][0]
    registers = state.get("embeddings.register_tokens", torch.zeros(1, 0, D))[0]
    x = torch.cat([x[:1], registers, x[1:]])
    inner = "attention.attention."
    names = ("norm1", "norm2", (inner + "query", inner + "key", inner + "value"),
             "attention.output.dense")  # fmt: skip
    mlp = gate2 if "encoder.layer.0.mlp.weights_in.weight" in state else two_layers(gelu)
    x = split_blocks(state, x, "encoder.layer.{}.", names, mlp, 1e-6, "layer_scale{}.lambda1")
    return torch.cat([x[:1], x[1 + len(registers) :]])


def plain_dinov3(state: State, picture: Tensor) -> Tensor:
    x = patches(state, "embeddings.patch_embeddings", picture)
    side = math.isqrt(len(x))
    registers = state["embeddings.register_tokens"][0]
    x = torch.cat([state["embeddings.cls_token"][0], registers, x])
    size = D // HEADS

    def turn(q: Tensor) -> Tensor:
        """Turn pairs of channels, half a head apart, by row and column of each patch."""
        result = q.clone()
        for place in range(side * side):
            for j in range(size // 2):
                axis, f = divmod(j, size // 4)
                where = 2 * (divmod(place, side)[axis] + 0.5) / side - 1
                angle = 2 * math.pi * where / 100 ** (4 * f / size)
                for h in range(HEADS):
                    a, b = h * size + j, h * size + j + size // 2
                    row = 1 + len(registers) + place
                    result[row, a] = q[row, a] * math.cos(angle) - q[row, b] * math.sin(angle)
                    result[row, b] = q[row, b] * math.cos(angle) + q[row, a] * math.sin(angle)
        return result

    names = ("norm1", "norm2", ("attention.q_proj", "attention.k_proj", "attention.v_proj"),
             "attention.o_proj")  # fmt: skip
    x = split_blocks(state, x, "layer.{}.", names, mlp3, 1e-5, "layer_scale{}.lambda1", turn)
    return torch.cat([x[:1], x[1 + len(registers) :]])


def plain_timm(state: State, picture: Tensor) -> Tensor:
    x = patches(state, "patch_embed.proj", picture)
    before = [state[n][0] for n in ("cls_token", "reg_token") if n in state]
    if state["pos_embed"].shape[1] == len(x):
        x = torch.cat([*before, x + state["pos_embed"][0]])
    else:
        x = torch.cat([*before, x]) + state["pos_embed"][0]
    eps = 1e-6
    if "norm_pre.weight" in state:
        eps = 1e-5
        x = norm(state, "norm_pre", x, eps)
    for n in range(BLOCKS):
        at = f"blocks.{n}."
        q, k, v = linear(state, at + "attn.qkv", norm(state, at + "norm1", x, eps)).split(D, dim=1)
        h = linear(state, at + "attn.proj", attention(q, k, v))
        x = x + h * state.get(at + "ls1.gamma", torch.ones(D))
        h = two_layers(gelu)(state, at + "mlp.", norm(state, at + "norm2", x, eps))
        x = x + h * state.get(at + "ls2.gamma", torch.ones(D))
    return torch.cat([x[:1], x[5:]]) if "reg_token" in state else x


def plain_open_clip(state: State, picture: Tensor) -> Tensor:
    at = "visual."
    x = patches(state, at + "conv1", picture)
    x = torch.cat([state[at + "class_embedding"][None], x]) + state[at + "positional_embedding"]
    x = norm(state, at + "ln_pre", x, 1e-5)
    for n in range(BLOCKS):
        at = f"visual.transformer.resblocks.{n}."
        h = norm(state, at + "ln_1", x, 1e-5) @ state[at + "attn.in_proj_weight"].T
        q, k, v = (h + state[at + "attn.in_proj_bias"]).split(D, dim=1)
        x = x + linear(state, at + "attn.out_proj", attention(q, k, v))
        h = quick(linear(state, at + "mlp.c_fc", norm(state, at + "ln_2", x, 1e-5)))
        x = x + linear(state, at + "mlp.c_proj", h)
    return x


def named(name: str) -> dict[str, dict[str, Any]]:
    """The settings of timm with an architecture of this name."""
    return {"config.json": SETTINGS["timm"]["config.json"] | {"architecture": name}}


GATED = {"config.json": SETTINGS["dinov3"]["config.json"]
         | {"use_gated_mlp": True, "hidden_act": "silu"}}  # fmt: skip
# what a form's weights and settings are, and the plain arithmetic on them
FORMS: dict[str, tuple[State, dict[str, dict[str, Any]], Callable[[State, Tensor], Tensor]]] = {
    "CLIP of transformers": (drawn.clip(), SETTINGS["clip"], plain_clip),
    "CLIP with its text tower": (
        drawn.clip() | {"text_model.encoder.layers.0.mlp.fc1.weight": torch.ones(3, 3),
                        "text_model.embeddings.position_embedding.weight": torch.ones(3, 3)},
        SETTINGS["clip"], plain_clip,
    ),
    "SigLIP of transformers": (drawn.siglip(), SETTINGS["siglip"], plain_siglip),
    "DINOv2 of transformers": (drawn.dinov2(), SETTINGS["dinov2"], plain_dinov2),
    "with registers": (drawn.dinov2(registers=4), SETTINGS["dinov2"], plain_dinov2),
    "with SwiGLU": (drawn.dinov2(gated=True), SETTINGS["dinov2"], plain_dinov2),
    "DINOv3 of transformers": (drawn.dinov3(), SETTINGS["dinov3"], plain_dinov3),
    "DINOv3 with SwiGLU": (drawn.dinov3(gated=True), GATED, plain_dinov3),
    "DINOv2 of timm": (drawn.timm(), SETTINGS["timm"], plain_timm),
    "registers of timm": (drawn.timm("registers"), SETTINGS["timm"], plain_timm),
    "CLIP of timm": (drawn.timm("clip"), named("vit_tiny_patch4_clip_12"), plain_timm),
    "SigLIP of timm": (drawn.timm("siglip"), named("vit_tiny_patch4_siglip_12"), plain_timm),
    "timm's tower in open_clip": (
        {f"visual.trunk.{name}": tensor for name, tensor in drawn.timm("siglip").items()},
        {"open_clip_config.json": {
            "model_cfg": {"vision_cfg": {"timm_model_name": "vit_tiny_patch4_siglip_12"}},
            "preprocess_cfg": {"mean": LOOKS["image_mean"], "std": LOOKS["image_std"]},
        }},
        lambda state, picture: plain_timm(
            {name.removeprefix("visual.trunk."): tensor for name, tensor in state.items()}, picture
        ),
    ),
    "open_clip": (drawn.open_clip(), SETTINGS["open_clip"], plain_open_clip),
}  # fmt: skip


def pictures(count: int = 2, side: int = IMAGE) -> Tensor:
    return torch.randint(0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(4))


def normalised(x: Tensor) -> Tensor:
    mean, std = (torch.tensor(LOOKS[n])[:, None, None] for n in ("image_mean", "image_std"))
    return (x / 255 - mean) / std


@pytest.mark.parametrize("form", FORMS)
def test_a_form_gives_the_tokens_of_its_plain_arithmetic(form: str, tmp_path: Path) -> None:
    state, settings, plain = FORMS[form]
    encoder = load_encoder(write(tmp_path, state, settings))
    given = pictures()
    tokens = encoder(given.byte(), [BLOCKS])[0]
    for own, picture in zip(tokens, normalised(given), strict=True):
        torch.testing.assert_close(own, plain(state, picture), atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_the_first_blocks_are_loaded_alone_and_no_more_than_there_are(
    form: str, tmp_path: Path
) -> None:
    state, settings, _ = FORMS[form]
    folder = write(tmp_path, state, settings)
    whole, first = load_encoder(folder), load_encoder(folder, 1)
    assert (whole.config.layers, first.config.layers) == (BLOCKS, 1)
    given = pictures().byte()
    assert torch.equal(whole(given, [1])[0], first(given, [1])[0])
    with pytest.raises(InputError, match=f"has {BLOCKS} blocks, and 3 are needed"):
        load_encoder(folder, 3)


def test_a_file_is_read_with_the_settings_beside_it_and_in_several_parts(tmp_path: Path) -> None:
    state = drawn.dinov2()
    folder = write(tmp_path / "whole", state, SETTINGS["dinov2"])
    given = pictures().byte()
    expected = load_encoder(folder)(given, [BLOCKS])[0]
    assert torch.equal(load_encoder(folder / "model.safetensors")(given, [BLOCKS])[0], expected)
    parts = write(tmp_path / "parts", {}, SETTINGS["dinov2"])
    (parts / "model.safetensors").unlink()
    kept = load_file(folder / "model.safetensors")
    halves = {"a": dict(list(kept.items())[::2]), "b": dict(list(kept.items())[1::2])}
    for name, half in halves.items():
        save_file(half, parts / f"{name}.safetensors")
    places = {n: f"{name}.safetensors" for name, half in halves.items() for n in half}
    index = parts / "model.safetensors.index.json"
    index.write_text(drawn.json.dumps({"weight_map": places}), encoding="utf-8")
    assert torch.equal(load_encoder(parts)(given, [BLOCKS])[0], expected)


@pytest.mark.parametrize("form", ["DINOv2 of transformers", "registers of timm"])
def test_positions_are_interpolated_for_pictures_of_another_size(form: str, tmp_path: Path) -> None:
    state, settings, plain = FORMS[form]
    encoder = load_encoder(write(tmp_path, state, settings), image=20)
    assert encoder.config.image == 20
    name = next(n for n in state if "pos" in n)
    table = state[name][0]
    first = len(table) - PLACES
    grid = table[first:].T.reshape(1, D, SIDE, SIDE)
    grid = interpolate(grid, (5, 5), mode="bicubic", antialias="timm" in form)
    grown = torch.cat([table[:first], grid.flatten(2)[0].T])[None]
    given = pictures(1, 20)
    expected = plain({**state, name: grown}, normalised(given)[0])
    tokens = encoder(given.byte(), [BLOCKS])[0][0]
    torch.testing.assert_close(tokens, expected, atol=2e-4, rtol=1e-3)
    with pytest.raises(InputError, match=f"patches of {PATCH} pixels do not fill a side of 21"):
        load_encoder(tmp_path, image=21)


def test_rotary_positions_need_no_table_for_another_size(tmp_path: Path) -> None:
    state, settings, plain = FORMS["DINOv3 of transformers"]
    encoder = load_encoder(write(tmp_path, state, settings), image=20)
    given = pictures(1, 20)
    expected = plain(state, normalised(given)[0])
    tokens = encoder(given.byte(), [BLOCKS])[0][0]
    torch.testing.assert_close(tokens, expected, atol=2e-4, rtol=1e-3)


def without(state: State, part: str) -> State:
    return {name: tensor for name, tensor in state.items() if part not in name}


@pytest.mark.parametrize(
    ("state", "settings", "message"),
    [
        (without(drawn.clip(), "1.mlp.fc2.weight"), SETTINGS["clip"],
         r"lacks the tensor vision_model\.encoder\.layers\.1\.mlp\.fc2\.weight"),
        (without(drawn.timm(), "pos_embed"), SETTINGS["timm"], "lacks the tensor pos_embed"),
        (drawn.dinov2(), {}, "config.json must lie beside the weights, and does not"),
        (drawn.open_clip(), {}, "open_clip_config.json must lie beside"),
        (drawn.timm() | {"blocks.0.attn.q_norm.weight": torch.ones(64)}, SETTINGS["timm"],
         "no layer here takes blocks.0.attn.q_norm.weight"),
        (drawn.timm(), named("eva02_tiny_patch4"), r"vit_\* and deit\* are read, not eva02"),
        (drawn.clip() | {"vision_model.encoder.layers.0.mlp.fc1.weight": torch.ones(3, D)},
         SETTINGS["clip"], r"blocks.0.fc1.weight has the shape \[3, 128\]"),
        ({"conv1.weight": torch.ones(4)}, {}, "it holds conv1.weight, ..., which is neither"),
        (drawn.dinov2(), {"config.json": SETTINGS["dinov2"]["config.json"] | {"hidden_act": "x"}},
         "layers with 'x'"),
        (drawn.timm(), {"config.json": {"architecture": "vit_b"}}, "lacks 'mean'"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_sentence_that_names_file_and_lack(
    state: State, settings: dict[str, dict[str, Any]], message: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "theirs", state, settings)
    with pytest.raises(InputError, match=message) as raised:
        load_encoder(folder)
    assert str(raised.value).startswith(str(folder))
    assert "\n" not in str(raised.value)


@pytest.mark.gpu
@pytest.mark.parametrize("form", FORMS)
def test_a_form_gives_the_same_tokens_on_a_gpu(form: str, tmp_path: Path) -> None:
    state, settings, _ = FORMS[form]
    encoder = load_encoder(write(tmp_path, state, settings))
    given = pictures().byte()
    here = encoder(given, [BLOCKS])[0]
    there = encoder.cuda()(given.cuda(), [BLOCKS])[0].cpu()
    torch.testing.assert_close(there, here, atol=5e-3, rtol=5e-3)


def by_transformers(kind: str) -> Any:
    """A model of the library, with a block more than is compared: it normalises its last one."""
    import transformers

    name = {"clip": "CLIPVision", "siglip": "SiglipVision", "dinov2": "Dinov2",
            "registers": "Dinov2WithRegisters", "swiglu": "Dinov2", "dinov3": "DINOv3ViT",
            "dinov3 gated": "DINOv3ViT"}[kind]  # fmt: skip
    more = {"swiglu": {"use_swiglu_ffn": True}, "registers": {"num_register_tokens": 4},
            "dinov3": {"num_register_tokens": 4},
            "dinov3 gated": {"use_gated_mlp": True, "hidden_act": "silu"}}  # fmt: skip
    config = getattr(transformers, f"{name}Config")(
        hidden_size=D, num_attention_heads=HEADS, intermediate_size=HIDDEN, image_size=IMAGE,
        patch_size=PATCH, num_hidden_layers=BLOCKS + 1, **more.get(kind, {}),
    )  # fmt: skip
    return getattr(transformers, f"{name}Model")(config).eval()


@pytest.mark.parametrize(
    "kind", ["clip", "siglip", "dinov2", "registers", "swiglu", "dinov3", "dinov3 gated"]
)
def test_a_model_that_transformers_saved_gives_its_hidden_states(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    model = by_transformers(kind)
    shaken(model)
    model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(drawn.json.dumps(LOOKS), encoding="utf-8")
    given = pictures()
    with torch.no_grad():
        out = model(pixel_values=normalised(given), output_hidden_states=True)
    encoder = load_encoder(tmp_path)
    for count, theirs in zip((0, 1, 2), out.hidden_states, strict=False):
        skip = encoder.config.registers
        theirs = torch.cat([theirs[:, :1], theirs[:, 1 + skip :]], dim=1)
        torch.testing.assert_close(encoder(given.byte(), [count])[0], theirs, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("vit_small_patch14_dinov2", {"init_values": 1e-5}),
        ("vit_small_patch14_reg4_dinov2", {"init_values": 1e-5}),
        ("vit_base_patch16_clip_quickgelu_224", {}),
        ("vit_base_patch16_clip_224", {}),
        ("vit_base_patch16_siglip_224", {}),
        ("vit_base_patch32_siglip_256", {}),
        ("vit_giant_patch14_dinov2", {"init_values": 1e-5}),
        ("vit_small_patch16_224", {}),
    ],
)
def test_a_model_that_timm_saved_gives_its_intermediates(
    name: str, more: dict[str, Any], tmp_path: Path
) -> None:
    timm = pytest.importorskip("timm")
    sizes = {"patch_size": PATCH, "img_size": IMAGE, "embed_dim": D, "num_heads": HEADS,
             "depth": BLOCKS}  # fmt: skip
    model = timm.create_model(name, num_classes=0, **sizes, **more).eval()
    shaken(model)
    model.pretrained_cfg |= {"mean": LOOKS["image_mean"], "std": LOOKS["image_std"]}
    timm.models.save_for_hf(model, tmp_path, safe_serialization=True)
    given = pictures()
    with torch.no_grad():
        theirs = model.forward_intermediates(
            normalised(given), intermediates_only=True, output_fmt="NLC"
        )
    encoder = load_encoder(tmp_path)
    for count in (1, 2):
        own = encoder(given.byte(), [count])[0][:, int(encoder.config.class_token) :]
        torch.testing.assert_close(own, theirs[count - 1], atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("quick_gelu", [True, False])
def test_a_model_of_open_clip_gives_its_tokens(quick_gelu: bool, tmp_path: Path) -> None:
    open_clip = pytest.importorskip("open_clip")
    vision = {"width": D, "layers": BLOCKS, "patch_size": PATCH, "image_size": IMAGE,
              "head_width": 32, "mlp_ratio": 2.0}  # fmt: skip
    text = {"width": 32, "heads": 2, "layers": 1, "vocab_size": 50, "context_length": 8}
    model = open_clip.CLIP(16, vision, text, quick_gelu=quick_gelu).eval()
    shaken(model)
    settings = {"model_cfg": {"quick_gelu": quick_gelu, "vision_cfg": vision}, "preprocess_cfg":
                {"mean": LOOKS["image_mean"], "std": LOOKS["image_std"]}}  # fmt: skip
    folder = write(tmp_path, model.state_dict(), {"open_clip_config.json": settings})
    given = pictures()
    with torch.no_grad():
        theirs = model.visual.forward_intermediates(
            normalised(given), intermediates_only=True, output_fmt="NLC"
        )["image_intermediates"]
    encoder = load_encoder(folder)
    for count in (1, 2):
        own = encoder(given.byte(), [count])[0][:, 1:]
        torch.testing.assert_close(own, theirs[count - 1], atol=2e-4, rtol=1e-3)


def shaken(model: torch.nn.Module) -> None:
    """Give every parameter a value of its own, as training would."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
