"""Adapters: nothing without their share, and plain normalisation without a domain."""

from __future__ import annotations

import torch
from torch.nn import functional

from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from temporal.adapters import DOMAIN_WIDTH, Adapter, DomainNorm
from temporal.experts import ExpertConfig


def test_without_a_share_the_tokens_are_those_of_the_expert_to_the_bit() -> None:
    torch.manual_seed(0)
    adapter, tokens = Adapter(16), torch.randn(2, 5, 16)
    assert not torch.equal(adapter(tokens), tokens)
    adapter.alpha.data.zero_()
    assert torch.equal(adapter(tokens, torch.randn(2, DOMAIN_WIDTH)), tokens)


def test_of_no_domain_the_norm_is_a_plain_one_and_of_each_another() -> None:
    torch.manual_seed(0)
    norm, x = DomainNorm(16), torch.randn(2, 5, 16)
    norm.norm.weight.data.uniform_()
    norm.norm.bias.data.uniform_()
    plain = functional.layer_norm(x, (16,), norm.norm.weight, norm.norm.bias)
    torch.testing.assert_close(norm(x), plain)
    torch.testing.assert_close(norm(x, torch.zeros(2, DOMAIN_WIDTH)), plain)
    domain = torch.randn(2, DOMAIN_WIDTH)
    bare = functional.layer_norm(x, (16,))
    scale = norm.norm.weight + domain @ norm.scale.weight.T
    shift = norm.norm.bias + domain @ norm.shift.weight.T
    expected = bare * scale[:, None] + shift[:, None]
    torch.testing.assert_close(norm(x, domain), expected, atol=1e-5, rtol=1e-5)


def test_a_token_is_corrected_by_itself() -> None:
    torch.manual_seed(0)
    adapter, tokens = Adapter(16), torch.randn(1, 6, 16)
    torch.testing.assert_close(adapter(tokens)[:, 2:4], adapter(tokens[:, 2:4]))


def test_a_detector_corrects_the_tokens_of_the_experts_that_are_named() -> None:
    torch.manual_seed(0)
    sizes = ExpertConfig(dim=16, appearance=8, flow=(4, 8), depth=(4, 8), mel=(4, 8))
    detector = Detector(DetectorConfig(experts=sizes, adapters=("flow",))).eval()
    flow, depth = torch.randn(1, 4, 2, 16, 16), torch.rand(1, 4, 1, 16, 16)
    with torch.no_grad():
        found = detector.expert_tokens("flow", {"flow": flow})
        detector.adapters["flow"].alpha.zero_()
        assert not torch.equal(detector.expert_tokens("flow", {"flow": flow}), found)
    assert "depth" not in detector.adapters
    assert detector.expert_tokens("depth", {"depth": depth}).shape == (1, 4, 16)
