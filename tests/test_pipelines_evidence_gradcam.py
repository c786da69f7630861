"""Grad-CAM: its closed form, and that it finds the place where an artefact was planted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.evidence.gradcam import expert_maps, grad_cam
from temporal.experts import ExpertConfig, PictureExpert, pooled

TINY = ExpertConfig(
    dim=16, appearance=4, lips=(4, 8), flow=(4, 8), depth=(4, 8), mel=(4, 8), voice=(4, 8)
)


def test_the_maps_sum_is_the_logit_less_the_bias_of_a_pooled_linear_head() -> None:
    activations = torch.randn(6, 5, 4, 3, requires_grad=True)  # (C, T, h, w)
    head = nn.Linear(6, 1)
    logit = head(activations.mean(dim=(1, 2, 3)))[0]
    (gradients,) = torch.autograd.grad(logit, activations)
    total = grad_cam(activations.detach(), gradients).sum()
    assert total.item() == pytest.approx((logit - head.bias[0]).item(), abs=1e-5)


def planted(count: int, steps: int = 4) -> tuple[Tensor, Tensor]:
    """Noise (N, L, 1, 32, 32), every other clip with a check somewhere, and where: (N, 32, 32)."""
    clips, places = torch.randn(count, steps, 1, 32, 32), torch.zeros(count, 32, 32)
    check = ((torch.arange(8)[:, None] + torch.arange(8)) % 2) * 8.0 - 4.0
    for i in range(1, count, 2):
        y, x = torch.randint(0, 24, (2,)).tolist()
        clips[i, :, 0, y : y + 8, x : x + 8] = check
        places[i, y : y + 8, x : x + 8] = 1
    return clips, places


def test_the_evidence_of_a_trained_expert_lies_in_the_planted_artefact() -> None:
    expert, probe = PictureExpert(1, (8, 16), 8, 0.0), nn.Linear(8, 1)
    optimiser = torch.optim.Adam([*expert.parameters(), *probe.parameters()], lr=0.01)
    for _ in range(30):
        clips, places = planted(16)
        logits = probe(expert(clips).mean(dim=1))[:, 0]
        loss = functional.binary_cross_entropy_with_logits(logits, places.amax(dim=(1, 2)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    expert.eval()
    clips, places = (part[1::2] for part in planted(16))
    maps = expert.stages(expert.stem(clips.transpose(1, 2))).detach().requires_grad_()
    logit = probe(expert.project(pooled(maps))).mean()
    (gradients,) = torch.autograd.grad(logit, maps)
    heat = torch.stack([grad_cam(a, g).relu() for a, g in zip(maps, gradients, strict=True)])
    heat = functional.interpolate(heat.detach(), (32, 32), mode="bilinear")
    share = float((heat * places[:, None]).sum() / heat.sum())
    assert share >= 3 * (8 * 8) / (32 * 32)


def streams(steps: int) -> dict[str, Tensor]:
    return {
        "appearance": torch.randint(0, 255, (steps, 3, 112, 112), dtype=torch.uint8),
        "landmarks": torch.randn(steps, 40, 3),
        "mouth": torch.randint(0, 255, (steps, 1, 48, 96), dtype=torch.uint8),
        "flow": torch.randn(steps, 2, 56, 56).half(),
        "depth": torch.randn(steps, 1, 56, 56).half(),
        "mel": torch.randn(steps, 80, 4),
    }


def test_every_expert_has_a_map_over_its_own_stream_and_nothing_is_left_behind() -> None:
    detector = Detector(DetectorConfig(experts=TINY)).eval()
    given, mask = streams(20), torch.ones(1, 20, dtype=torch.bool)
    before = detector({n: s[None] for n, s in given.items()}, mask).opinions
    learning = [p.requires_grad for p in detector.parameters()]
    maps = expert_maps(detector, given, "visual", slice(4, 16))
    assert {"appearance", "flow", "depth"} <= set(maps)
    assert maps["appearance"].shape == (20, 7, 7)
    assert all(float(m.min()) >= 0 and float(m.max()) <= 1.0 for m in maps.values())
    sound = expert_maps(detector, {"mel": given["mel"]}, "audio", slice(4, 16))
    assert sound["mel"].shape == (1, 20, 80)
    assert [p.requires_grad for p in detector.parameters()] == learning
    after = detector({n: s[None] for n, s in given.items()}, mask).opinions
    assert torch.equal(before, after)
