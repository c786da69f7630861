"""A frozen vision transformer: of CLIP's form (Radford et al. 2021), or of one that came after it.

What differs between CLIP, SigLIP, DINOv2 and DINOv3 is in `EncoderConfig`. Weights are read by
`extractors.encoder_file`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from extractors.dynamic_prompts import DynamicPrompts

ACTIVATIONS = ("quick_gelu", "gelu", "gelu_tanh", "swiglu")


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
    activation: str = "quick_gelu"  # one of ACTIVATIONS; swiglu: silu of one half, times the other
    pre_norm: bool = True  # CLIP normalises the embeddings before the first block
    eps: float = 1e-5
    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)  # of RGB in [0, 1]
    deviation: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)
    class_token: bool = True
    registers: int = 0  # tokens that are neither of the class nor of a patch (Darcet et al. 2024)
    patch_bias: bool = False  # of the embedding of patches
    layer_scale: bool = False  # a factor a channel on what each half of a block adds
    rotary: float = 0.0  # the base of rotary positions, as of DINOv3; 0: a table of positions
    prompts: int = 0  # dynamic prompts before each block, see `extractors.dynamic_prompts`

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {ACTIVATIONS}, got {self.activation!r}")
        if self.image % self.patch or self.width % self.heads:
            raise ValueError("patches must fill the image, and heads the width")
        if self.rotary and self.width // self.heads % 4:
            raise ValueError("rotary positions need heads of a width that four divides")


class Block(nn.Module):
    """A pre-norm transformer block: attention and a two-layer network, each with a residual."""

    scale1: Tensor | None
    scale2: Tensor | None

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads, self.activation = config.heads, config.activation
        gates = 2 if config.activation == "swiglu" else 1
        self.norm1 = nn.LayerNorm(config.width, config.eps)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.norm2 = nn.LayerNorm(config.width, config.eps)
        self.fc1 = nn.Linear(config.width, gates * config.hidden)
        self.fc2 = nn.Linear(config.hidden, config.width)
        for name in ("scale1", "scale2"):
            scale = nn.Parameter(torch.ones(config.width)) if config.layer_scale else None
            self.register_parameter(name, scale)

    def forward(self, x: Tensor, turn: Tensor | None = None) -> Tensor:
        """Return tokens (N, P, D) of tokens (N, P, D); turn (2, P, d): see `rotation`."""
        # The residual stream stays in float32, since a few of its channels are a hundred times the
        # others; matrix products run in the precision of the matrices.
        n, length, width = x.shape
        qkv = self.qkv(self.norm1(x).to(self.qkv.weight.dtype))
        q, k, v = qkv.view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if turn is not None:
            q, k = turned(q, turn), turned(k, turn)
        attended = functional.scaled_dot_product_attention(q, k, v)
        x = x + _scaled(self.out(attended.transpose(1, 2).reshape(n, length, width)), self.scale1)
        h = self.fc1(self.norm2(x).to(self.fc1.weight.dtype))
        return x + _scaled(self.fc2(activated(h, self.activation)), self.scale2)

    def values_attended(self, x: Tensor) -> Tensor:
        """Return what attention adds (N, P, D) to tokens (N, P, D) if values attend to each other.

        Each token gathers from those of like value, so that it keeps its place; queries, keys and
        the two-layer network are left out. Source: Deng et al., AnoVL, 2023.
        """
        n, length, width = x.shape
        weight, bias = self.qkv.weight[2 * width :], self.qkv.bias[2 * width :]
        values = functional.linear(self.norm1(x).to(weight.dtype), weight, bias)
        v = values.view(n, length, self.heads, -1).transpose(1, 2)
        attended = functional.scaled_dot_product_attention(v, v, v)
        return _scaled(self.out(attended.transpose(1, 2).reshape(n, length, width)), self.scale1)


def _scaled(x: Tensor, scale: Tensor | None) -> Tensor:
    return x if scale is None else x * scale


def activated(h: Tensor, activation: str) -> Tensor:
    """Return the activations (..., H) of h (..., H), or of h (..., 2 H) for swiglu."""
    if activation == "quick_gelu":
        return h * torch.sigmoid(1.702 * h)
    if activation == "swiglu":
        gate, value = h.chunk(2, dim=-1)
        return functional.silu(gate) * value
    return functional.gelu(h, approximate="tanh" if activation == "gelu_tanh" else "none")


def rotation(config: EncoderConfig) -> Tensor:
    """Return cosine and sine (2, C + P, d) of the angles by which each token is turned.

    Rotary positions of DINOv3 (Siméoni et al. 2025): a patch's row and column, from -1 to 1, each
    times a quarter as many frequencies as a head is wide. Tokens that are no patches stay.
    """
    side, size = config.image // config.patch, config.width // config.heads
    places = 2 * (torch.arange(side) + 0.5) / side - 1
    grid = torch.stack(torch.meshgrid(places, places, indexing="ij"), dim=-1).flatten(0, 1)
    frequencies = config.rotary ** -torch.arange(0, 1, 4 / size)  # (d / 4,)
    angles = (2 * math.pi * grid[:, :, None] * frequencies).flatten(1).tile(2)  # (P, d)
    prefix = torch.zeros(int(config.class_token) + config.registers, size)
    angles = torch.cat([prefix, angles])
    return torch.stack([angles.cos(), angles.sin()])


def turned(x: Tensor, turn: Tensor) -> Tensor:
    """Return x (N, H, P, d), each token's first half turned against its second by its angles."""
    first, second = x.float().chunk(2, dim=-1)
    across = torch.cat([-second, first], dim=-1)
    return (x.float() * turn[0] + across * turn[1]).to(x.dtype)


class VisionTransformer(nn.Module):
    """The first blocks of a vision transformer: a class token, if any, and a token a patch."""

    mean: Tensor
    deviation: Tensor
    class_token: Tensor | None
    registers: Tensor | None
    positions: Tensor | None
    turn: Tensor | None

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        patches, width = (config.image // config.patch) ** 2, config.width
        self.embed = nn.Conv2d(3, width, config.patch, config.patch, bias=config.patch_bias)
        shapes = {
            "class_token": (width,) if config.class_token else None,
            "registers": (config.registers, width) if config.registers else None,
            "positions": None if config.rotary else (int(config.class_token) + patches, width),
        }
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)) if shape else None)
        self.pre = nn.LayerNorm(width, config.eps) if config.pre_norm else nn.Identity()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        with torch.device("cpu"):  # no file has these: they are made even of a model without memory
            for name, values in (("mean", config.mean), ("deviation", config.deviation)):
                self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
            turn = rotation(config) if config.rotary else None
            self.register_buffer("turn", turn, persistent=False)
        self.prompts = DynamicPrompts(width, config.prompts) if config.prompts else None

    def forward(self, pictures: Tensor, after: Sequence[int]) -> list[Tensor]:
        """Return the tokens (N, C + P, D) float32 after each of the blocks.

        The class token is the first (C is 1) where there is one; registers are left out.

        Args:
            pictures: (N, 3, S, S) uint8 RGB, or float from 0 to 255.
            after: block counts, ascending; blocks beyond the last are not run.
        """
        x = self.embedded(pictures)
        first, patches = int(self.config.class_token), self.prefix

        def told(x: Tensor) -> Tensor:
            return torch.cat([x[:, :first], x[:, patches:]], dim=1) if patches > first else x

        kept = [told(x)] if 0 in after else []
        for number, block in enumerate(self.blocks[: max(after)], 1):
            x = block(self.prompted(x), self.turn)
            if number in after:
                kept.append(told(x))
        return kept

    def batches(self, crops: Tensor, size: int = 16) -> Iterator[Tensor]:
        """Yield crops (N, 3, H, W) as pictures (K, 3, S, S) for `forward`, on its device.

        size: of a batch, which bounds the memory.
        """
        side = self.config.image
        for few in torch.split(crops, size):
            levels = few.to(self.mean.device).float()
            yield functional.interpolate(levels, (side, side), mode="bilinear")

    def value_tokens(self, pictures: Tensor, first: int) -> Tensor:
        """Return tokens (N, P, D) float32 of patches by the values that attend to each other.

        Args:
            pictures: as in `forward`.
            first: blocks that run as they are; each later one adds its `values_attended`.
        """
        x = self.embedded(pictures)
        for block in self.blocks[:first]:
            x = block(x, self.turn)
        tokens = x
        for block in cast("list[Block]", self.blocks[first:]):
            tokens = tokens + block.values_attended(x)
            x = block(x, self.turn)
        return tokens[:, self.prefix :]

    @property
    def prefix(self) -> int:
        """C + R, the tokens before those of the patches: class and registers."""
        return int(self.config.class_token) + self.config.registers

    def embedded(self, pictures: Tensor) -> Tensor:
        """Return the tokens (N, C + R + P, D) before the first block: class, registers, patches."""
        x = (pictures.float() / 255 - self.mean) / self.deviation
        x = self.embed(x.to(self.embed.weight.dtype)).flatten(2).transpose(1, 2).float()
        if self.class_token is not None:
            x = torch.cat([self.class_token.expand(len(x), 1, -1), x], dim=1)
        if self.positions is not None:
            x = x + self.positions
        if self.registers is not None:
            first = int(self.config.class_token)
            between = self.registers.expand(len(x), -1, -1)
            x = torch.cat([x[:, :first], between, x[:, first:]], dim=1)
        return self.pre(x)

    def prompted(self, x: Tensor) -> Tensor:
        """Return the tokens (N, P, D) that go into a block, with what prompts add to them."""
        return x if self.prompts is None else self.prompts(x)

    def in_precision(self, precision: torch.dtype) -> VisionTransformer:
        """Convert the matrices to a precision and return the module; norms stay in float32."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.to(precision)
        return self
