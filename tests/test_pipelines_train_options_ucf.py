"""Common and specific features: styles, pictures rebuilt, and what is left at inference."""

from __future__ import annotations

import pytest
import torch
from drawn_clips import MODALITY, drawn_batch, drawn_clips, tiny_probe

from pipelines.train.options.ucf import MARGIN, Generator, Ucf, UcfConfig, adain, triplets


def method_on(name: str, **settings: object) -> tuple[Ucf, UcfConfig]:
    torch.manual_seed(0)
    config = UcfConfig(width=8, **settings)  # type: ignore[arg-type]
    return Ucf(tiny_probe(name), MODALITY[name], config, drawn_clips(4, (name,))), config


def test_content_takes_the_statistics_of_the_style_and_keeps_them() -> None:
    torch.manual_seed(0)
    content, style = torch.randn(2, 4, 5, 6, 6) * 3 + 1, torch.randn(2, 4, 5, 8) * 0.5 - 2
    styled = adain(content, style)
    for of in (torch.mean, lambda x, dim: x.std(dim, correction=0)):
        expected = of(style.flatten(2), dim=2)
        torch.testing.assert_close(of(styled.flatten(2), dim=2), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(adain(styled, style), styled, atol=1e-4, rtol=1e-4)


def test_with_a_constant_style_pictures_depend_on_their_content_alone() -> None:
    torch.manual_seed(0)
    generator = Generator(8, 4, 3)
    content, style = torch.randn(3, 2, 8, 2, 2), torch.ones(3, 2, 4)
    content[2] = content[0]
    made = generator(content, style, (12, 10))
    assert made.shape == (3, 2, 3, 12, 10)
    torch.testing.assert_close(made[2], made[0])
    assert float((made[1] - made[0]).abs().max()) > 1e-3  # an auto-encoder, then


def test_triplets_are_zero_where_classes_lie_farther_apart_than_the_margin() -> None:
    forged = torch.tensor([False, False, True, True])
    far = torch.tensor([[0.0], [0.0], [2 * MARGIN], [2 * MARGIN]])
    assert float(triplets(far, forged.long(), forged)) == pytest.approx(0.0, abs=1e-4)
    same = torch.zeros(4, 1)
    assert float(triplets(same, forged.long(), forged)) == pytest.approx(2 * MARGIN, abs=1e-4)


@pytest.mark.parametrize("name", ["appearance", "flow", "mel"])
def test_every_part_learns_on_every_kind_of_stream(name: str) -> None:
    method, config = method_on(name)
    batch = drawn_batch(config, drawn_clips(4, (name,)), name)
    common, specific = method.features(batch)
    assert common.shape == specific.shape
    assert not torch.equal(common, specific)
    method.loss(batch).backward()
    for part in (method.probe, method.specific, method.name, method.content, method.generator):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


def test_crossed_pictures_are_made_only_on_request() -> None:
    losses = []
    for cross in ("content", "off"):
        method, config = method_on("mel", cross=cross)
        batch = drawn_batch(config, drawn_clips(4, ("mel",)), "mel")
        losses.append(float(method.loss(batch).detach()))
    assert losses[0] > losses[1]


def test_generator_content_and_specific_features_take_no_part_in_inference() -> None:
    method, config = method_on("mel")
    streams = drawn_batch(config, drawn_clips(4, ("mel",)), "mel").streams
    before = method.eval()(streams)
    for part in (method.specific, method.name, method.content, method.generator):
        for parameter in part.parameters():
            parameter.data.zero_()
    assert torch.equal(method(streams), before)
