"""The first layers of MobileNetV2 (Sandler et al. 2018), by torchvision's names.

Weights of torchvision's network fit. Its own definition would do, but importing torchvision takes
four seconds and 140 MB, most of it for operators that are not used.
"""

from __future__ import annotations

from torch import Tensor, nn

# expansion, channels, blocks, stride of the first one
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
LAYERS = 1 + sum(blocks for _, _, blocks, _ in STAGES)


class Conv2dNormActivation(nn.Sequential):
    """A convolution that keeps or halves the picture, with its norm and ReLU6."""

    def __init__(
        self, channels: int, width: int, kernel: int = 3, stride: int = 1, groups: int = 1
    ) -> None:
        padding = kernel // 2
        conv = nn.Conv2d(channels, width, kernel, stride, padding, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(width), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """A block that widens, filters each channel, and narrows again."""

    def __init__(self, channels: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.residual = stride == 1 and channels == width
        self.conv = nn.Sequential(
            *([Conv2dNormActivation(channels, hidden, kernel=1)] if expansion > 1 else []),
            Conv2dNormActivation(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (N, width, h, w) of maps (N, channels, H, W)."""
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


def mobilenet_stem() -> nn.Sequential:
    """Return the untrained layers up to 96 channels at a 16th of the picture's size."""
    channels = 32
    layers: list[nn.Module] = [Conv2dNormActivation(3, channels, stride=2)]
    for expansion, width, blocks, stride in STAGES:
        for index in range(blocks):
            layers.append(InvertedResidual(channels, width, 1 if index else stride, expansion))
            channels = width
    stem = nn.Sequential(*layers)
    for module in stem.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
    return stem
