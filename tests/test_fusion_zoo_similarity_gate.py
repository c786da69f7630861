"""The similarity gate: how picture, sound and both are weighed."""

from __future__ import annotations

import torch

from fusion.zoo.similarity_gate import SimilarityGate

NAN = float("nan")


def gate() -> SimilarityGate:
    return SimilarityGate(visual=[0, 1], audio=[2], both=[3, 4], dim=8).eval()


def test_picture_and_sound_together_count_nothing_where_they_are_not_alike() -> None:
    fused, tokens = gate(), torch.randn(2, 4, 5, 8)
    unlike, alike = torch.zeros(2, 4, 3), torch.zeros(2, 4, 3)
    alike[..., 1] = 0.7
    assert float(fused.vectors(tokens, unlike)[:, :, 2].detach().abs().max()) == 0
    full, part = fused.vectors(tokens, alike / 0.7), fused.vectors(tokens, alike)
    torch.testing.assert_close(part[:, :, 2], 0.7 * full[:, :, 2])
    torch.testing.assert_close(part[:, :, :2], full[:, :, :2])


def test_what_is_missing_counts_nothing_and_spoils_nothing() -> None:
    fused, tokens = gate(), torch.randn(1, 3, 5, 8)
    deaf = tokens.clone()
    deaf[:, :, [2, 4]] = NAN
    vectors = fused.vectors(deaf, torch.full((1, 3, 5), NAN))
    assert float(vectors[:, :, 1:].detach().abs().max()) == 0
    heard = fused.vectors(tokens, torch.ones(1, 3, 5))
    torch.testing.assert_close(vectors[:, :, 0], heard[:, :, 0])
    assert not fused({"tokens": deaf, "lag": torch.full((1, 3, 5), NAN)}).isnan().any()


def test_the_gate_treats_branches_alike_where_its_weights_do() -> None:
    fused = gate()
    with torch.no_grad():
        for layer in (fused.attention[0], fused.attention[2]):
            layer.weight.copy_(0.7 * torch.eye(3) + 0.2)
            layer.bias.fill_(0.1)
    vectors, order = torch.randn(2, 4, 3, 64), [2, 0, 1]
    turned = fused.gates(vectors[:, :, order])
    torch.testing.assert_close(turned, fused.gates(vectors)[:, :, order])
