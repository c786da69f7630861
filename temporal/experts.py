"""The experts: one network per stream, fully convolutional in time, with one token per step.

The appearance expert looks at every picture with a MobileNetV2 and at its changes with a (2+1)D
block; the other picture experts are slim (2+1)D residual networks. Their convolutions are
pytorchvideo's: on a CPU they cost a third of a depthwise X3D of the same accuracy class.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from pytorchvideo.layers.convolutions import Conv2plus1d
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, pad
from torch.nn.utils.fusion import fuse_conv_bn_eval

from extractors.spectrogram import BANDS, COLUMNS
from temporal.mobilenet import mobilenet_stem
from temporal.residual import ResidualBlock


@dataclass(frozen=True)
class ExpertConfig:
    """Sizes of the experts."""

    dim: int = 64  # D, width of a token
    appearance: int = 128  # channels of the block over time
    flicker: bool = False  # the appearance expert also reads colour changes from step to step
    lips: tuple[int, ...] = (16, 32, 64)  # channels a stage; each halves the picture
    flow: tuple[int, ...] = (16, 32, 64)
    depth: tuple[int, ...] = (8, 16, 32)
    mel: tuple[int, ...] = (16, 32, 64, 96)
    voice: tuple[int, ...] = (16, 32, 64, 96)
    dropout: float = 0.2  # in the projection to tokens, in training


# Every expert's name and the streams that it reads. `voice` learns lip-sound synchrony, `mel` the
# traces of synthesis: one network trained for both tasks does worse on each.
EXPERTS: dict[str, tuple[str, ...]] = {
    "appearance": ("appearance",), "lips": ("mouth", "landmarks"), "flow": ("flow",),
    "depth": ("depth",), "mel": ("mel",), "voice": ("mel",),
}  # fmt: skip
# Receptive field of a token in steps to either side; nearer to a window's edge it covers padding.
CONTEXT = {"appearance": 2, "lips": 4, "flow": 4, "depth": 4, "mel": 4, "voice": 3}


def build_experts(config: ExpertConfig) -> nn.ModuleDict:
    """Return all experts, untrained, by name."""
    return nn.ModuleDict(
        {
            "appearance": AppearanceExpert(
                config.appearance, config.dim, config.dropout, config.flicker
            ),
            "lips": LipsExpert(config.lips, config.dim, config.dropout),
            "flow": PictureExpert(2, config.flow, config.dim, config.dropout),
            "depth": PictureExpert(1, config.depth, config.dim, config.dropout),
            "mel": SoundExpert(config.mel, config.dim, config.dropout, colour=False),
            "voice": SoundExpert(config.voice, config.dim, config.dropout, colour=True),
        }
    )


class AppearanceExpert(nn.Module):
    """The first 14 layers of MobileNetV2 (Sandler et al. 2018) on each step, then a temporal block.

    Training starts from ImageNet's weights; at a 16th of the picture's size the features still
    tell a seam from a shadow.
    """

    CHANNELS = 96
    AT_ONCE = 32  # pictures

    def __init__(self, width: int, dim: int, dropout: float, flicker: bool) -> None:
        super().__init__()
        self.stem = mobilenet_stem()
        self.changes = residual_block(self.CHANNELS, width)
        self.project = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * width, dim))
        self.flicker = FlickerBranch(dim) if flicker else None

    def forward(self, stream: Tensor) -> Tensor:
        """Return tokens (B, L, D) of a picture stream (B, L, 3, H, W)."""
        x = self._seen(stream.flatten(0, 1))
        x = x.reshape(*stream.shape[:2], *x.shape[1:])  # (B, L, 96, h, w)
        tokens: Tensor = self.project(pooled(self.changes(x.transpose(1, 2))))
        return tokens if self.flicker is None else tokens + self.flicker(stream)

    def _seen(self, pictures: Tensor) -> Tensor:
        """Return the stem's features of pictures (N, 3, H, W), a few at a time in inference.

        A whole window at once does not fit into the processor's cache and takes six times as long.
        """
        if self.training:  # batch normalisation needs the statistics of all of them
            whole: Tensor = self.stem(pictures)
            return whole
        parts = torch.split(pictures, self.AT_ONCE)
        return torch.cat([self.stem(p.to(memory_format=torch.channels_last)) for p in parts])


class FlickerBranch(nn.Module):
    """Colour flicker: the log second differences in time of the mean colours of 4×4 regions.

    The stem's features describe a face's content; colour changes of a few per cent are lost in
    them. Its weights start at zero, so adding it to a trained expert changes nothing at first.
    """

    GRID = 4
    FLOOR = 1e-3  # of a second difference, in the stream's unit of 64 grey levels

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(3 * self.GRID**2, dim)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, stream: Tensor) -> Tensor:
        """Return the term (B, L, D) added to the tokens of a picture stream (B, L, 3, H, W)."""
        colours = adaptive_avg_pool2d(stream.flatten(0, 1), self.GRID).flatten(1)
        colours = colours.reshape(*stream.shape[:2], -1).transpose(1, 2)  # (B, 48, L)
        edged = pad(colours, (1, 1), mode="replicate")  # at an edge the first difference
        jumps = (edged.diff(n=2, dim=2).abs() + self.FLOOR).log() + 4.0  # about zero mean
        added: Tensor = self.project(jumps.transpose(1, 2))
        return added


class PictureExpert(nn.Module):
    """A (2+1)D residual network (Tran et al. 2018) with temporal stride 1."""

    def __init__(self, channels: int, widths: tuple[int, ...], dim: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(channels, widths[0], (1, 5, 5), (1, 2, 2), (0, 2, 2), bias=False),
            nn.BatchNorm3d(widths[0]),
            nn.ReLU(),
        )
        self.stages = nn.Sequential(*[residual_block(a, b) for a, b in pairwise(widths)])
        self.project = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * widths[-1], dim))

    def forward(self, stream: Tensor) -> Tensor:
        """Return tokens (B, L, D) of a picture stream (B, L, C, H, W)."""
        return self.project(pooled(self.stages(self.stem(stream.transpose(1, 2)))))


def pooled(maps: Tensor) -> Tensor:
    """Return mean and maximum over the picture (B, L, 2W) of feature maps (B, W, L, h, w)."""
    return torch.cat([maps.mean(dim=(3, 4)), maps.amax(dim=(3, 4))], dim=1).transpose(1, 2)


class LipsExpert(nn.Module):
    """A network on mouth crops (appearance) plus one on lip landmarks (shape)."""

    def __init__(self, widths: tuple[int, ...], dim: int, dropout: float) -> None:
        super().__init__()
        self.crops = PictureExpert(1, widths, dim, dropout)
        self.shape = nn.Sequential(
            nn.Conv1d(120, dim, 5, padding=2, bias=False),
            nn.BatchNorm1d(dim),
            nn.ReLU(),
            nn.Conv1d(dim, dim, 5, padding=2),
        )

    def forward(self, mouth: Tensor, landmarks: Tensor) -> Tensor:
        """Return tokens (B, L, D) of mouth (B, L, 1, 48, 96) and landmarks (B, L, 40, 3)."""
        shape = self.shape(landmarks.flatten(2).transpose(1, 2))  # (B, D, L)
        return self.crops(mouth) + shape.transpose(1, 2)


class SoundExpert(nn.Module):
    """A 2D residual network over log-mel columns that halves the bands and keeps the columns.

    Without `colour`, each band's mean over the window is subtracted (cepstral mean normalisation,
    Atal 1974): the colouring by microphone, room and codec identifies the source of a clip rather
    than a forgery.
    """

    def __init__(self, widths: tuple[int, ...], dim: int, dropout: float, colour: bool) -> None:
        super().__init__()
        self.colour = colour
        stages = []
        for a, b in zip((1, *widths), widths, strict=False):
            stages += [sound_block(a, b)]
        self.stages = nn.Sequential(*stages)
        bands = BANDS // 2 ** len(widths)
        self.project = nn.Sequential(
            nn.Conv1d(widths[-1] * bands, 2 * dim, COLUMNS, stride=COLUMNS),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv1d(2 * dim, dim, 1),
        )

    def forward(self, mel: Tensor) -> Tensor:
        """Return tokens (B, L, D) of log-mel power (B, L, 80, 4)."""
        x = mel.permute(0, 2, 1, 3).flatten(2)[:, None]  # (B, 1, 80, 4L)
        if not self.colour:
            x = x - x.mean(dim=3, keepdim=True)
        x = self.stages(x).flatten(1, 2)  # (B, W * bands, 4L)
        return self.project(x).transpose(1, 2)


def fold_norms(module: nn.Module) -> None:
    """Fold the batch norms of a module in evaluation mode into its convolutions, in place.

    Outputs stay the same up to rounding; a MobileNetV2 spends half its time on applying the norms.
    """
    for chain in (m for m in module.modules() if isinstance(m, nn.Sequential)):
        for index, (conv, norm) in enumerate(pairwise(list(chain))):
            if isinstance(conv, nn.Conv2d | nn.Conv3d) and isinstance(
                norm, nn.BatchNorm2d | nn.BatchNorm3d
            ):
                chain[index], chain[index + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()


def residual_block(channels: int, width: int) -> ResidualBlock:
    """Return a (2+1)D residual block that halves height and width and keeps time."""
    return ResidualBlock(
        branch1_conv=nn.Conv3d(channels, width, 1, (1, 2, 2), bias=False),
        branch1_norm=nn.BatchNorm3d(width),
        branch2=nn.Sequential(
            _conv(channels, width, 2), nn.BatchNorm3d(width), nn.ReLU(),
            _conv(width, width, 1), nn.BatchNorm3d(width),
        ),
    )  # fmt: skip


def _conv(channels: int, width: int, stride: int) -> Conv2plus1d:
    return Conv2plus1d(
        conv_xy=nn.Conv3d(channels, width, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
        norm=nn.BatchNorm3d(width),
        activation=nn.ReLU(),
        conv_t=nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0), bias=False),
        conv_xy_first=True,
    )


def sound_block(channels: int, width: int) -> ResidualBlock:
    """Return a residual block that halves the bands (H) and keeps the columns (W)."""
    return ResidualBlock(
        branch1_conv=nn.Conv2d(channels, width, 1, (2, 1), bias=False),
        branch1_norm=nn.BatchNorm2d(width),
        branch2=nn.Sequential(
            nn.Conv2d(channels, width, 3, (2, 1), 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width),
        ),
    )  # fmt: skip


def normalise(name: str, stream: Tensor) -> Tensor:
    """Return a stream (B, L, ...) as its expert's input: float, about zero mean and unit variance.

    The sound's level and the mouth's mean shape are subtracted: neither is evidence of forgery,
    and both identify the source of a clip.
    """
    if name in ("appearance", "mouth"):
        return torch.div(stream, 64.0).sub_(2.0)  # bytes become floats once
    x = stream.float()
    if name == "mel":
        return (x - x.mean(dim=(1, 2, 3), keepdim=True)) / 3.0
    if name == "landmarks":
        return (x - x.mean(dim=(1, 2), keepdim=True)) * 10.0
    if name == "depth":
        return x * 8.0
    return x.clamp(-8, 8) if name == "flow" else x
