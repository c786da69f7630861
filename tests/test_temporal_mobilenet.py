"""The stem is torchvision's MobileNetV2 as far as it goes, without torchvision."""

from __future__ import annotations

import subprocess
import sys

import torch
from torchvision.models import mobilenet_v2

from temporal.mobilenet import mobilenet_stem


def test_the_weights_of_torchvision_fit_and_give_the_same_maps() -> None:
    torch.manual_seed(0)
    reference = mobilenet_v2(weights=None).features[:14].eval()
    stem = mobilenet_stem().eval()
    stem.load_state_dict(reference.state_dict())
    pictures = torch.randn(2, 3, 56, 72)
    assert torch.equal(stem(pictures), reference(pictures))


def test_untrained_weights_have_the_spread_that_keeps_gradients() -> None:
    torch.manual_seed(0)
    for name, weight in mobilenet_stem().named_parameters():
        if weight.dim() == 4 and weight.numel() > 10_000:
            fan_out = weight.shape[0] * weight[0, 0].numel()
            assert abs(float(weight.detach().std()) / (2 / fan_out) ** 0.5 - 1) < 0.05, name


def test_a_session_needs_no_torchvision() -> None:
    program = "import sys, pipelines.detection.session; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
