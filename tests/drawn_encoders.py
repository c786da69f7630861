"""Small random weights of vision transformers, named and shaped as other libraries keep them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

WIDTH, HEADS, HIDDEN, PATCH, SIDE = 128, 2, 96, 4, 3  # heads of 64 channels, as timm takes them
BLOCKS, IMAGE, PLACES = 2, PATCH * SIDE, SIDE * SIDE
State = dict[str, Tensor]


def drawn(shapes: dict[str, tuple[int, ...]]) -> State:
    """Random tensors; vectors of norms and factors are near 1."""
    generator = torch.Generator().manual_seed(len(shapes))
    state = {n: 0.2 * torch.randn(shape, generator=generator) for n, shape in shapes.items()}
    near = ("norm", "ln_", "lambda1", "gamma")
    return {
        n: t + 1 if t.dim() == 1 and any(part in n for part in near) and "bias" not in n else t
        for n, t in state.items()
    }


def layers(shapes: dict[str, tuple[int, int]], unbiased: tuple[str, ...] = ()) -> dict[str, Any]:
    """Shapes of linear layers' weights (out, in) and biases."""
    both: dict[str, Any] = {f"{n}.weight": shape for n, shape in shapes.items()}
    return both | {f"{n}.bias": s[:1] for n, s in shapes.items() if n not in unbiased}


def norms(*names: str) -> dict[str, Any]:
    return {f"{name}.{kind}": (WIDTH,) for name in names for kind in ("weight", "bias")}


def blocks(stem: str, shapes: dict[str, Any]) -> dict[str, Any]:
    return {f"{stem.format(n)}{name}": s for n in range(BLOCKS) for name, s in shapes.items()}


D, H = WIDTH, HIDDEN
QKV = ("q_proj", "k_proj", "v_proj")


def clip(prefix: str = "vision_model.") -> State:
    own = norms("layer_norm1", "layer_norm2") | layers(
        {f"self_attn.{n}": (D, D) for n in (*QKV, "out_proj")}
        | {"mlp.fc1": (H, D), "mlp.fc2": (D, H)}
    )
    return drawn(
        {
            f"{prefix}embeddings.patch_embedding.weight": (D, 3, PATCH, PATCH),
            f"{prefix}embeddings.class_embedding": (D,),
            f"{prefix}embeddings.position_embedding.weight": (1 + PLACES, D),
            **{f"{prefix}{n}": s for n, s in norms("pre_layrnorm", "post_layernorm").items()},
            **blocks(prefix + "encoder.layers.{}.", own),
        }
    )


def siglip() -> State:
    state = {n: t for n, t in clip().items() if "pre_lay" not in n and "class_" not in n}
    place = "vision_model.embeddings.position_embedding.weight"
    patches = {"vision_model.embeddings.patch_embedding.bias": torch.linspace(-1, 1, D)}
    return state | patches | {place: state[place][1:]}


def dinov2(registers: int = 0, gated: bool = False) -> State:
    own = norms("norm1", "norm2") | layers(
        {f"attention.attention.{n}": (D, D) for n in ("query", "key", "value")}
        | {"attention.output.dense": (D, D)}
        | ({"mlp.weights_in": (2 * H, D), "mlp.weights_out": (D, H)} if gated
           else {"mlp.fc1": (H, D), "mlp.fc2": (D, H)})
    )  # fmt: skip
    own |= {f"layer_scale{i}.lambda1": (D,) for i in (1, 2)}
    return drawn(
        {
            "embeddings.cls_token": (1, 1, D), "embeddings.mask_token": (1, D),
            **({"embeddings.register_tokens": (1, registers, D)} if registers else {}),
            "embeddings.position_embeddings": (1, 1 + PLACES, D),
            "embeddings.patch_embeddings.projection.weight": (D, 3, PATCH, PATCH),
            "embeddings.patch_embeddings.projection.bias": (D,),
            **blocks("encoder.layer.{}.", own), **norms("layernorm"),
        }
    )  # fmt: skip


def dinov3(gated: bool = False) -> State:
    mlp = ("mlp.gate_proj", "mlp.up_proj") if gated else ("mlp.up_proj",)
    own = norms("norm1", "norm2") | layers(
        {f"attention.{n}": (D, D) for n in (*QKV, "o_proj")}
        | dict.fromkeys(mlp, (H, D)) | {"mlp.down_proj": (D, H)},
        unbiased=("attention.k_proj",),
    )  # fmt: skip
    own |= {f"layer_scale{i}.lambda1": (D,) for i in (1, 2)}
    return drawn(
        {
            "embeddings.cls_token": (1, 1, D), "embeddings.mask_token": (1, 1, D),
            "embeddings.register_tokens": (1, 4, D),
            "embeddings.patch_embeddings.weight": (D, 3, PATCH, PATCH),
            "embeddings.patch_embeddings.bias": (D,),
            **blocks("layer.{}.", own), **norms("norm"),
        }
    )  # fmt: skip


def timm(kind: str = "dinov2") -> State:
    own = norms("norm1", "norm2") | layers(
        {"attn.qkv": (3 * D, D), "attn.proj": (D, D), "mlp.fc1": (H, D), "mlp.fc2": (D, H)}
    )
    outside: dict[str, Any] = {"cls_token": (1, 1, D), "pos_embed": (1, 1 + PLACES, D)}
    if kind == "clip":
        outside |= norms("norm_pre")
    elif kind == "siglip":
        outside = {"pos_embed": (1, PLACES, D)}
    else:
        own |= {f"ls{i}.gamma": (D,) for i in (1, 2)}
    if kind == "registers":
        outside |= {"reg_token": (1, 4, D), "pos_embed": (1, PLACES, D)}
    if kind != "clip":
        outside |= {"patch_embed.proj.bias": (D,)}
    outside |= {"patch_embed.proj.weight": (D, 3, PATCH, PATCH), **norms("norm")}
    return drawn(outside | blocks("blocks.{}.", own))


def open_clip() -> State:
    own = norms("ln_1", "ln_2") | layers(
        {"attn.out_proj": (D, D), "mlp.c_fc": (H, D), "mlp.c_proj": (D, H)}
    )
    own |= {"attn.in_proj_weight": (3 * D, D), "attn.in_proj_bias": (3 * D,)}
    return drawn(
        {
            "visual.conv1.weight": (D, 3, PATCH, PATCH), "visual.class_embedding": (D,),
            "visual.positional_embedding": (1 + PLACES, D), "visual.proj": (D, 32),
            **norms("visual.ln_pre", "visual.ln_post"), "logit_scale": (),
            **blocks("visual.transformer.resblocks.{}.", own),
            "transformer.resblocks.0.ln_1.weight": (D,),
        }
    )  # fmt: skip


def wide(state: State, side: int) -> State:
    """The same weights with positions of `side` by `side` patches, in place of SIDE by SIDE."""
    generator = torch.Generator().manual_seed(9)
    grown = {}
    for name, tensor in state.items():
        if "pos" in name:
            rows = tensor.shape[-2] - PLACES + side * side
            shape = (*tensor.shape[:-2], rows, D)
            tensor = 0.2 * torch.randn(shape, generator=generator)
        grown[name] = tensor
    return grown


TRANSFORMERS = {"num_attention_heads": HEADS, "hidden_size": D, "image_size": IMAGE}
LOOKS = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.25]}
SETTINGS: dict[str, dict[str, Any]] = {
    "clip": {"config.json": {"model_type": "clip", "vision_config": TRANSFORMERS}},
    "siglip": {"config.json": TRANSFORMERS | {"model_type": "siglip_vision_model"}},
    "dinov2": {"config.json": TRANSFORMERS | {"model_type": "dinov2"}},
    "dinov3": {"config.json": TRANSFORMERS | {"model_type": "dinov3_vit"}},
    "timm": {"config.json": {
        "architecture": "vit_tiny_patch4_dinov2",
        "pretrained_cfg": {"mean": LOOKS["image_mean"], "std": LOOKS["image_std"]},
    }},
    "open_clip": {"open_clip_config.json": {
        "model_cfg": {"quick_gelu": True, "vision_cfg": {"width": D, "layers": BLOCKS}},
        "preprocess_cfg": {"mean": LOOKS["image_mean"], "std": LOOKS["image_std"]},
    }},
}  # fmt: skip


def write(folder: Path, state: State, settings: dict[str, dict[str, Any]]) -> Path:
    """Write weights and settings as a folder of the library's form, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(kept, folder / "model.safetensors")
    for name, content in settings.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    if "config.json" in settings and "architecture" not in settings["config.json"]:
        (folder / "preprocessor_config.json").write_text(json.dumps(LOOKS), encoding="utf-8")
    return folder


SPEECH_SIZES: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32,
    "conv_dim": [8] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip


def wav2vec2(folder: Path, **more: Any) -> Path:
    """Write a small random wav2vec 2.0 of transformers' names, by torchaudio's network."""
    from torchaudio.models import wav2vec2_model

    torch.manual_seed(0)
    kernels, strides = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)
    network = wav2vec2_model(
        "group_norm", list(zip([8] * 7, kernels, strides, strict=True)), False, 16, 0.0, 16, 2, 3,
        2, 0.0, 32, 0.0, 0.0, False, 0.0, None,
    )  # fmt: skip
    state = {
        name.replace("encoder.feature_projection.", "feature_projection.")
        .replace("encoder.transformer.", "encoder.")
        .replace("parametrizations.weight.original0", "weight_g")
        .replace("parametrizations.weight.original1", "weight_v"): tensor.contiguous()
        for name, tensor in network.state_dict().items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file({f"wav2vec2.{name}": t for name, t in state.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(SPEECH_SIZES | more))
    return folder


def av_hubert(folder: Path, seed: int = 0, prefix: str = "") -> Path:
    """Write a small random AV-HuBERT of fairseq's names: width 64, three layers, one head."""
    width, hidden, generator = 64, 96, torch.Generator().manual_seed(seed)
    video = "feature_extractor_video."
    resnet, trunk = f"{video}resnet.", f"{video}resnet.trunk."
    shapes: dict[str, Any] = {f"{resnet}frontend3D.0.weight": (64, 1, 5, 7, 7)}
    shapes |= batch_norm(f"{resnet}frontend3D.1", 64) | {f"{resnet}frontend3D.2.weight": (64,)}
    last = 64
    for n, out in enumerate((64, 128, 256, 512), start=1):
        for block in (0, 1):
            own, into = f"{trunk}layer{n}.{block}.", last if block == 0 else out
            shapes |= {
                f"{own}conv1.weight": (out, into, 3, 3),
                f"{own}relu1.weight": (out,),
                f"{own}conv2.weight": (out, out, 3, 3),
                f"{own}relu2.weight": (out,),
            }
            shapes |= batch_norm(f"{own}bn1", out) | batch_norm(f"{own}bn2", out)
            if block == 0 and n > 1:
                shapes |= {f"{own}downsample.0.weight": (out, into, 1, 1)}
                shapes |= batch_norm(f"{own}downsample.1", out)
        last = out
    shapes |= layers({f"{video}proj": (width, 512), "post_extract_proj": (width, 2 * width)})
    shapes |= {f"layer_norm.{kind}": (2 * width,) for kind in ("weight", "bias")}
    shapes |= {f"encoder.layer_norm.{kind}": (width,) for kind in ("weight", "bias")}
    shapes |= {
        "encoder.pos_conv.0.weight_g": (1, 1, 16),
        "encoder.pos_conv.0.bias": (width,),
        "encoder.pos_conv.0.weight_v": (width, width // 4, 16),
    }
    for n in range(3):
        own = f"encoder.layers.{n}."
        shapes |= layers({f"{own}self_attn.{part}": (width, width) for part in (*QKV, "out_proj")})
        shapes |= layers({f"{own}fc1": (hidden, width), f"{own}fc2": (width, hidden)})
        shapes |= {
            f"{own}{norm}.{kind}": (width,)
            for kind in ("weight", "bias")
            for norm in ("self_attn_layer_norm", "final_layer_norm")
        }
    state = {}
    for name, shape in shapes.items():
        fan = torch.Size(shape[1:]).numel() if len(shape) > 1 else 25
        drawn_one = torch.randn(shape, generator=generator) / fan**0.5
        scale = len(shape) == 1 and "bias" not in name and "mean" not in name
        state[prefix + name] = drawn_one.abs() + 0.5 if scale or "weight_g" in name else drawn_one
    folder.mkdir(parents=True, exist_ok=True)
    counts = {n: torch.tensor(7) for n in state if n.endswith("running_var")}
    state |= {n.replace("running_var", "num_batches_tracked"): t for n, t in counts.items()}
    save_file(state, folder / "model.safetensors")
    return folder


def batch_norm(name: str, channels: int) -> dict[str, Any]:
    return {f"{name}.{kind}": (channels,) for kind in
            ("weight", "bias", "running_mean", "running_var")}  # fmt: skip
