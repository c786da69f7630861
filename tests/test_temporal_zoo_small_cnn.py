"""The small network: what it goes by when the trace lies beside the face."""

from __future__ import annotations

import torch
from torch.nn import functional

from pipelines.evidence.gradcam import grad_cam
from temporal.zoo.small_cnn import SIDE, SmallCnn


def pictures(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pictures of noise, half of them doubled outside the middle; which are; and the outside."""
    outside = torch.ones(SIDE, SIDE, dtype=torch.bool)
    outside[8:24, 8:24] = False
    crops = torch.randint(0, 255, (count, 3, SIDE, SIDE)).float()
    doubled = crops[:, :, ::2, ::2].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    fake = torch.arange(count) % 2 == 0
    made = torch.where(outside & fake[:, None, None, None], doubled, crops)
    return made.to(torch.uint8), fake.float(), outside


def test_evidence_for_a_trace_beside_the_face_lies_beside_the_face() -> None:
    network = SmallCnn(channels=16)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(60):
        crops, fake, _ = pictures(32)
        loss = functional.binary_cross_entropy_with_logits(
            network({"appearance": crops[:, None]})[:, 0], fake
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    crops, fake, outside = pictures(64)
    activations: list[torch.Tensor] = []
    network.layers[4].register_forward_hook(lambda _m, _i, out: activations.append(out))
    logits = network({"appearance": crops[:, None]})[:, 0]
    assert float(((logits > 0) == (fake > 0)).float().mean()) > 0.9
    (gradients,) = torch.autograd.grad(logits[fake > 0].sum(), activations[0])
    kept = [
        functional.relu(grad_cam(a.detach()[:, None], g[:, None]))[0]
        for a, g, forged in zip(activations[0], gradients, fake, strict=True)
        if forged
    ]
    maps = functional.interpolate(torch.stack(kept)[:, None], SIDE)[:, 0]
    share = float(maps[:, outside].sum() / maps.sum())
    assert share > 0.8  # of the pictures' area it is 0.75
