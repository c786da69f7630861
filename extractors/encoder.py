"""A frozen vision transformer of CLIP's form (Radford et al. 2021), read from one file.

The file is safetensors with its configuration in the metadata. A matrix is stored as float, or as
int8 with one scale per row (`name.weight` and `name.scale`) and dequantised when it is loaded. So
the same module runs any ViT that is built like CLIP's, of any width, depth and precision.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from extractors.errors import InputError

FORMAT = "avdetect encoder 1"


@dataclass(frozen=True)
class EncoderConfig:
    """The architecture of a vision transformer, and the normalisation of its input."""

    name: str = "clip-vit-b16"
    width: int = 768
    heads: int = 12
    hidden: int = 3072
    layers: int = 6  # blocks that the file holds
    patch: int = 16
    image: int = 224  # pixels a side
    activation: str = "quick_gelu"  # or gelu
    pre_norm: bool = True  # CLIP normalises the embeddings before the first block
    eps: float = 1e-5
    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)  # of RGB in [0, 1]
    deviation: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)

    def __post_init__(self) -> None:
        if self.activation not in ("quick_gelu", "gelu"):
            raise ValueError(f"activation must be quick_gelu or gelu, got {self.activation!r}")
        if self.image % self.patch or self.width % self.heads:
            raise ValueError("patches must fill the image, and heads the width")


class Block(nn.Module):
    """A pre-norm transformer block: attention and a two-layer network, each with a residual."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.quick = config.activation == "quick_gelu"
        self.norm1 = nn.LayerNorm(config.width, config.eps)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.norm2 = nn.LayerNorm(config.width, config.eps)
        self.fc1 = nn.Linear(config.width, config.hidden)
        self.fc2 = nn.Linear(config.hidden, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens (N, P, D) of tokens (N, P, D)."""
        # The residual stream stays in float32, since a few of its channels are a hundred times the
        # others; matrix products run in the precision of the matrices.
        n, length, width = x.shape
        qkv = self.qkv(self.norm1(x).to(self.qkv.weight.dtype))
        q, k, v = qkv.view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(attended.transpose(1, 2).reshape(n, length, width))
        h = self.fc1(self.norm2(x).to(self.fc1.weight.dtype))
        h = h * torch.sigmoid(1.702 * h) if self.quick else functional.gelu(h)
        return x + self.fc2(h)


class VisionTransformer(nn.Module):
    """The first blocks of a vision transformer: a class token and a token for each patch."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        patches = (config.image // config.patch) ** 2
        self.embed = nn.Conv2d(3, config.width, config.patch, config.patch, bias=False)
        self.class_token = nn.Parameter(torch.zeros(config.width))
        self.positions = nn.Parameter(torch.zeros(1 + patches, config.width))
        self.pre = nn.LayerNorm(config.width, config.eps) if config.pre_norm else nn.Identity()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        for name, values in (("mean", config.mean), ("deviation", config.deviation)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, pictures: Tensor, after: Sequence[int]) -> list[Tensor]:
        """Return the tokens (N, 1 + P, D) float32 after each of the blocks, class token first.

        Args:
            pictures: (N, 3, S, S) uint8 RGB, or float from 0 to 255.
            after: block counts, ascending; blocks beyond the last are not run.
        """
        x = (pictures.float() / 255 - self.mean) / self.deviation
        x = self.embed(x.to(self.embed.weight.dtype)).flatten(2).transpose(1, 2).float()
        x = torch.cat([self.class_token.expand(len(x), 1, -1), x], dim=1) + self.positions
        x = self.pre(x)
        kept = [x] if 0 in after else []
        for number, block in enumerate(self.blocks[: max(after)], 1):
            x = block(x)
            if number in after:
                kept.append(x)
        return kept

    def in_precision(self, precision: torch.dtype) -> VisionTransformer:
        """Convert the matrices to a precision and return the module; norms stay in float32."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.to(precision)
        return self


def load_encoder(path: Path, layers: int | None = None) -> VisionTransformer:
    """Return the frozen encoder of a file, with its first `layers` blocks or all.

    Raises:
        InputError: there is no such file, it holds no encoder, or it has too few blocks.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise InputError(f"{path}: not the weights of a picture encoder")
            kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        fields = json.loads(metadata["config"])
        held = fields["layers"]
        fields["layers"] = held if layers is None else layers
        fields |= {name: tuple(fields[name]) for name in ("mean", "deviation")}
        model = VisionTransformer(EncoderConfig(**fields))
        wanted = model.state_dict().keys()
        state = {name: value for name, value in multiplied_out(kept).items() if name in wanted}
        if fields["layers"] > held:
            raise InputError(f"{path}: has {held} blocks, and {layers} are needed")
        model.load_state_dict(state)
    except (SafetensorError, OSError, RuntimeError, TypeError, KeyError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not the weights of a picture encoder: {error}") from error
    return model.requires_grad_(False).eval()


def multiplied_out(kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the float32 weights of a file's tensors; int8 ones have a scale per row."""
    state = {}
    for name, value in kept.items():
        if name.endswith(".scale"):
            continue
        full = value.float()
        if value.dtype == torch.int8:
            scale = kept[name.removesuffix("weight") + "scale"]
            full = full * scale.view(-1, *[1] * (value.ndim - 1))
        state[name] = full
    return state


def save_encoder(path: Path, config: EncoderConfig, state: Mapping[str, Tensor]) -> None:
    """Write weights, int8 with their scales or float, and the configuration to one file."""
    metadata = {"format": FORMAT, "config": json.dumps(asdict(config))}
    partial = path.with_suffix(".partial")
    save_file({name: value.contiguous() for name, value in state.items()}, partial, metadata)
    partial.replace(path)
