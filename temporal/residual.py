"""The block of residual networks (He et al. 2016), with the names of pytorchvideo's.

Importing pytorchvideo's own means importing torchvision, see `temporal.mobilenet`.
"""

from __future__ import annotations

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """The sum of a projected shortcut and a branch, activated."""

    def __init__(
        self, branch1_conv: nn.Module, branch1_norm: nn.Module, branch2: nn.Module
    ) -> None:
        super().__init__()
        self.branch1_conv, self.branch1_norm = branch1_conv, branch1_norm
        self.branch2, self.activation = branch2, nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated maps (N, W, ...) of maps (N, C, ...)."""
        y: Tensor = self.activation(self.branch1_norm(self.branch1_conv(x)) + self.branch2(x))
        return y
