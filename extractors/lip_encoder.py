"""A lip reader from a file: the picture's side of AV-HuBERT, as fairseq names its tensors.

AV-HuBERT (Shi et al. 2022) puts a residual network (He et al. 2016) behind one convolution in space
and time, and a transformer, which torchaudio has, on the tokens of pictures and sounds side by
side; sound that is missing is zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torchaudio.models import wav2vec2_model

from extractors.encoder_store import TensorStore, open_store
from extractors.errors import InputError

MARK = "feature_extractor_video.resnet.frontend3D.0.weight"
SIDE = 88  # pixels of the mouths that it reads
MEAN, DEVIATION = 0.421, 0.165  # of grey from 0 to 1
CHANNELS = (64, 128, 256, 512)
HEAD = 64  # channels of an attention head, of the base and the large network
LAYER = "encoder.layers.{}.fc1.weight"
POSITIONS = "transformer.pos_conv_embed.conv.", "encoder.pos_conv.0."
# torchaudio's names on the left.
NAMES = {
    "feature_projection.layer_norm.": "layer_norm.",
    "feature_projection.projection.": "post_extract_proj.",
    f"{POSITIONS[0]}parametrizations.weight.original0": f"{POSITIONS[1]}weight_g",
    f"{POSITIONS[0]}parametrizations.weight.original1": f"{POSITIONS[1]}weight_v",
    POSITIONS[0]: POSITIONS[1],
    "transformer.": "encoder.",
}  # fmt: skip
PARTS = {
    ".attention.": ".self_attn.", ".layer_norm.": ".self_attn_layer_norm.",
    ".feed_forward.intermediate_dense.": ".fc1.", ".feed_forward.output_dense.": ".fc2.",
}  # fmt: skip


class PictureBlock(nn.Module):
    """Two convolutions with a way around them."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1, self.relu1 = nn.BatchNorm2d(out), nn.PReLU(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2, self.relu2 = nn.BatchNorm2d(out), nn.PReLU(out)
        if stride > 1:
            around = nn.Conv2d(channels, out, 1, stride, bias=False)
            self.downsample = nn.Sequential(around, nn.BatchNorm2d(out))
        else:
            self.downsample = nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, out, H / stride, W / stride) of x (N, channels, H, W)."""
        y = self.relu1(self.bn1(self.conv1(x)))
        moved: Tensor = self.relu2(self.bn2(self.conv2(y)) + self.downsample(x))
        return moved


class MouthNetwork(nn.Module):
    """Pictures of a mouth in, a vector for each out: an 18-layer residual network."""

    def __init__(self) -> None:
        super().__init__()
        self.frontend3D = nn.Sequential(
            nn.Conv3d(1, CHANNELS[0], (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
            nn.BatchNorm3d(CHANNELS[0]), nn.PReLU(CHANNELS[0]),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )  # fmt: skip
        widths = zip((CHANNELS[0], *CHANNELS), CHANNELS, strict=False)
        self.trunk = nn.ModuleDict(
            {
                f"layer{n}": nn.Sequential(
                    PictureBlock(last, out, 1 if n == 1 else 2), PictureBlock(out, out, 1)
                )
                for n, (last, out) in enumerate(widths, start=1)
            }
        )

    def forward(self, mouths: Tensor) -> Tensor:
        """Return vectors (N, T, 512) of mouths (N, T, 88, 88) with zero mean."""
        x = self.frontend3D(mouths[:, None]).transpose(1, 2)
        y = x.flatten(0, 1)
        for layer in self.trunk.values():
            y = layer(y)
        return y.mean(dim=(2, 3)).unflatten(0, x.shape[:2])


class LipNetwork(nn.Module):
    """The residual network and the first layers of the transformer."""

    def __init__(self, width: int, hidden: int, count: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.resnet, self.proj = MouthNetwork(), nn.Linear(CHANNELS[-1], width)
        # torchaudio has the transformer behind convolutions of a waveform: these are dropped
        self.encoder = wav2vec2_model(
            "layer_norm", [(2 * width, 1, 1)], False, width, 0.0, kernel, groups, count,
            max(width // HEAD, 1), 0.0, hidden, 0.0, 0.0, True, 0.0, None,
        ).encoder  # fmt: skip

    def forward(self, mouths: Tensor) -> list[Tensor]:
        """Return the tokens (N, T, D) after each layer of mouths (N, T, 88, 88) with zero mean."""
        seen = self.proj(self.resnet(mouths))
        both = torch.cat([torch.zeros_like(seen), seen], dim=-1)  # no sound, then the picture
        layers: list[Tensor] = self.encoder.extract_features(both)
        return layers


@dataclass(frozen=True, eq=False)
class LipEncoder:
    """A frozen lip reader, with one token a step of the clock."""

    network: LipNetwork
    layers: tuple[int, ...]  # after which tokens are taken, counted from 1
    width: int

    @torch.no_grad()
    def __call__(self, mouths: Tensor) -> list[Tensor]:
        """Return the tokens (N, T, D) after each layer of mouths (N, T, 88, 88), grey 0 to 1."""
        outputs = self.network((mouths - MEAN) / DEVIATION)
        return [outputs[layer - 1] for layer in self.layers]


def load_lip_encoder(path: Path, layers: Sequence[int]) -> LipEncoder:
    """Return the lip reader of a safetensors file, or of a folder with one.

    Args:
        path: of AV-HuBERT whole, also behind a prefix; nothing but its tensors is needed.
        layers: after which tokens are wanted, counted from 1; those above are not loaded.

    Raises:
        InputError: there is no such file, it holds no AV-HuBERT, or it lacks something.
    """
    store = open_store(path)
    mark = next((name for name in store.places if name.endswith(MARK)), None)
    if mark is None:
        held = ", ".join(sorted(store.places)[:2])
        raise InputError(f"{path}: not an AV-HuBERT with fairseq's names: it holds {held}, ...")
    store = store.behind(mark.removesuffix(MARK))
    count = next(n for n in range(10_000) if LAYER.format(n) not in store)
    if not layers or not all(1 <= layer <= count for layer in layers):
        raise InputError(f"{path}: has the layers 1 to {count}, got {list(layers)}")
    hidden, width = store.shape_of(LAYER.format(0))
    _, grouped, kernel = store.shape_of("encoder.pos_conv.0.weight_v")
    network = LipNetwork(width, hidden, max(layers), kernel, width // grouped)
    try:
        network.load_state_dict(_state(store, network.state_dict()))
    except RuntimeError as error:
        raise InputError(f"{path}: not the shapes of an AV-HuBERT: {error}") from error
    return LipEncoder(network.requires_grad_(False).eval(), tuple(layers), width)


def _state(store: TensorStore, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors that the network wants, by its names."""
    state = {}
    for ours in wanted:
        name = ours.removeprefix("encoder.")
        if name == ours:  # the picture's side
            name = f"feature_extractor_video.{ours}"
        else:
            start = next(start for start in NAMES if name.startswith(start))
            name = NAMES[start] + name.removeprefix(start)
            if name.startswith("encoder.layers."):
                for part, theirs in PARTS.items():
                    name = name.replace(part, theirs)
        state[ours] = store[name]
        if state[ours].is_floating_point():
            state[ours] = state[ours].float()
    return state
