"""Picture encoders as `transformers`, `timm` and `open_clip` keep them, as our own network.

None of these libraries is needed: a form is a table of names. What shapes tell is read from the
tensors (widths, patches, blocks, which tokens there are), the rest from the settings beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from extractors.encoder_store import TensorStore
from extractors.errors import InputError

CLIP = {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
ACTIVATION_OF = {
    "quick_gelu": "quick_gelu", "gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh", "silu": "swiglu",
}  # fmt: skip
# What the names of timm's architectures say: heads of some other width than 64 channels ...
HEADS_OF_WIDTH = {1152: 16, 1280: 16, 1408: 16, 1664: 16}
# ... and which SigLIPs have the approximate GELU, by parts of their names.
TANH = ("so400m_patch16_siglip", "giantopt_patch16_siglip", "patch32_siglip",
        "large_patch16_siglip_512", "large_patch16_siglip_gap_512")  # fmt: skip


@dataclass(frozen=True)
class Form:
    """How a library names the tensors of a vision transformer, behind a prefix of the file's own.

    Our names lead to theirs. A layer's weight and bias share its name, which they join by a point
    or, where it ends so, by an underscore; several names of one layer are stacked.
    """

    title: str
    mark: str  # the end of the name of a tensor that no other form has
    block: str  # the beginning of the names of a block's tensors
    names: Mapping[str, str]  # outside of blocks
    parts: Mapping[str, tuple[str, ...]]  # of a block: its layers
    facts: Callable[[TensorStore], dict[str, Any]]  # the fields that shapes do not tell
    scales: tuple[str, str] | None = None  # of a block: its two factors a channel, if it has any
    gated: Mapping[str, tuple[str, ...]] | None = None  # `parts` of a SwiGLU, where others
    optional: frozenset[str] = frozenset()  # of `names`
    antialias: bool = True  # whether its library smooths positions before it thins them out


def _of_transformers(**otherwise: Any) -> Callable[[TensorStore], dict[str, Any]]:
    """Return what reads a config.json of transformers; it may leave out the class's defaults."""

    def facts(store: TensorStore) -> dict[str, Any]:
        given = store.settings("config.json")
        given = otherwise | (given.get("vision_config") or given)
        looks = store.settings("preprocessor_config.json", required=False)
        activation, gated = given["hidden_act"], given.get("use_gated_mlp", False)
        if activation not in ACTIVATION_OF or gated != (activation == "silu"):
            raise InputError(f"{store.path}: layers with {activation!r} as there are not known")
        return {
            "heads": given["num_attention_heads"],
            "activation": ACTIVATION_OF[activation],
            "eps": given["layer_norm_eps"],
            "mean": looks.get("image_mean", given["mean"]),
            "deviation": looks.get("image_std", given["std"]),
            "rotary": float(given.get("rope_theta", 0.0)),
            "image": given.get("image_size", 0),
        }

    return facts


def _of_timm(store: TensorStore) -> dict[str, Any]:
    """Return the facts of timm's config.json, or of open_clip's where its tower is timm's."""
    arguments: Mapping[str, Any] = {}
    if store.prefix.endswith("trunk."):
        given = store.settings("open_clip_config.json")
        name, looks = given["model_cfg"]["vision_cfg"]["timm_model_name"], given["preprocess_cfg"]
    else:
        given = store.settings("config.json")
        name, arguments = given["architecture"], given.get("model_args") or {}
        looks = given.get("pretrained_cfg") or given
    if not name.startswith(("vit_", "deit")):
        raise InputError(f"{store.path}: of timm, vit_* and deit* are read, not {name}")
    width = store.shape_of("patch_embed.proj.weight")[0]
    heads = 16 if "giantopt" in name else HEADS_OF_WIDTH.get(width, max(width // 64, 1))
    exact = "quick_gelu" if "quickgelu" in name else "gelu"
    return {
        "heads": arguments.get("num_heads", heads),
        "activation": "gelu_tanh" if any(part in name for part in TANH) else exact,
        "eps": 1e-5 if "_clip_" in name else 1e-6,
        "mean": looks["mean"],
        "deviation": looks["std"],
    }


def _of_open_clip(store: TensorStore) -> dict[str, Any]:
    given = store.settings("open_clip_config.json")
    model, looks = given["model_cfg"], given.get("preprocess_cfg") or {}
    width = store.shape_of("visual.conv1.weight")[0]
    return {
        "heads": width // model["vision_cfg"].get("head_width", 64),
        "activation": "quick_gelu" if model.get("quick_gelu") else "gelu",
        "eps": 1e-5,
        "mean": looks.get("mean", CLIP["mean"]),
        "deviation": looks.get("std", CLIP["std"]),
    }


_TRANSFORMERS = {
    "norm1": ("layer_norm1",), "out": ("self_attn.out_proj",), "norm2": ("layer_norm2",),
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "fc1": ("mlp.fc1",), "fc2": ("mlp.fc2",),
}  # fmt: skip
_EMBEDDINGS = {
    "embed": "embeddings.patch_embedding", "positions": "embeddings.position_embedding.weight",
}  # fmt: skip
_DINO = {
    "class_token": "embeddings.cls_token", "registers": "embeddings.register_tokens",
}  # fmt: skip
FORMS = (
    Form(
        "a CLIPVisionModel of transformers", "embeddings.class_embedding", "encoder.layers.{}.",
        _EMBEDDINGS | {"class_token": "embeddings.class_embedding", "pre": "pre_layrnorm"},
        _TRANSFORMERS,
        _of_transformers(num_attention_heads=12, hidden_act="quick_gelu", layer_norm_eps=1e-5,
                         **CLIP),
        antialias=False,
    ),
    Form(
        "a SiglipVisionModel of transformers", "embeddings.patch_embedding.bias",
        "encoder.layers.{}.", _EMBEDDINGS, _TRANSFORMERS,
        _of_transformers(num_attention_heads=12, hidden_act="gelu_pytorch_tanh",
                         layer_norm_eps=1e-6, **HALF),
        antialias=False,
    ),
    Form(
        "a Dinov2Model of transformers", "embeddings.patch_embeddings.projection.weight",
        "encoder.layer.{}.",
        _DINO | {"embed": "embeddings.patch_embeddings.projection",
                 "positions": "embeddings.position_embeddings"},
        {
            "norm1": ("norm1",), "out": ("attention.output.dense",), "norm2": ("norm2",),
            "qkv": tuple(f"attention.attention.{n}" for n in ("query", "key", "value")),
            "fc1": ("mlp.fc1",), "fc2": ("mlp.fc2",),
        },
        _of_transformers(num_attention_heads=12, hidden_act="gelu", layer_norm_eps=1e-6,
                         **IMAGENET),
        ("layer_scale1.lambda1", "layer_scale2.lambda1"),
        {"fc1": ("mlp.weights_in",), "fc2": ("mlp.weights_out",)},
        frozenset({"registers"}), antialias=False,
    ),
    Form(
        "a DINOv3ViTModel of transformers", "embeddings.patch_embeddings.weight", "layer.{}.",
        _DINO | {"embed": "embeddings.patch_embeddings"},
        {
            "norm1": ("norm1",), "out": ("attention.o_proj",), "norm2": ("norm2",),
            "qkv": ("attention.q_proj", "attention.k_proj", "attention.v_proj"),
            "fc1": ("mlp.up_proj",), "fc2": ("mlp.down_proj",),
        },
        _of_transformers(num_attention_heads=6, hidden_act="gelu", layer_norm_eps=1e-5,
                         rope_theta=100.0, image_size=224, **IMAGENET),
        ("layer_scale1.lambda1", "layer_scale2.lambda1"),
        {"fc1": ("mlp.gate_proj", "mlp.up_proj"), "fc2": ("mlp.down_proj",)},
        frozenset({"registers"}),
    ),
    Form(
        "a vision transformer of open_clip", "visual.conv1.weight",
        "visual.transformer.resblocks.{}.",
        {"embed": "visual.conv1", "class_token": "visual.class_embedding",
         "positions": "visual.positional_embedding", "pre": "visual.ln_pre"},
        {
            "norm1": ("ln_1",), "qkv": ("attn.in_proj_",), "out": ("attn.out_proj",),
            "norm2": ("ln_2",), "fc1": ("mlp.c_fc",), "fc2": ("mlp.c_proj",),
        },
        _of_open_clip, ("ls_1.gamma", "ls_2.gamma"), optional=frozenset({"pre"}),
    ),
    Form(
        "a vision transformer of timm", "patch_embed.proj.weight", "blocks.{}.",
        {"embed": "patch_embed.proj", "class_token": "cls_token", "registers": "reg_token",
         "positions": "pos_embed", "pre": "norm_pre"},
        {
            "norm1": ("norm1",), "qkv": ("attn.qkv",), "out": ("attn.proj",),
            "norm2": ("norm2",), "fc1": ("mlp.fc1",), "fc2": ("mlp.fc2",),
        },
        _of_timm, ("ls1.gamma", "ls2.gamma"),
        optional=frozenset({"class_token", "registers", "pre"}),
    ),
)  # fmt: skip
