"""The residual block is pytorchvideo's, without torchvision."""

from __future__ import annotations

import torch
from pytorchvideo.models.resnet import ResBlock
from torch import nn

from temporal.residual import ResidualBlock


def test_the_weights_of_pytorchvideos_block_fit_and_give_the_same_maps() -> None:
    torch.manual_seed(0)

    def parts() -> tuple[nn.Module, nn.Module, nn.Module]:
        branch = nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1), nn.BatchNorm2d(5), nn.ReLU())
        return nn.Conv2d(3, 5, 1, 2), nn.BatchNorm2d(5), branch

    conv, norm, branch = parts()
    reference = ResBlock(conv, norm, branch, nn.ReLU(), torch.add).eval()
    block = ResidualBlock(*parts()).eval()
    block.load_state_dict(reference.state_dict())
    maps = torch.randn(2, 3, 9, 8)
    assert torch.equal(block(maps), reference(maps))
