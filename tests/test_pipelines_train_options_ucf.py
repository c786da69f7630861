"""Common and specific features: styles, pictures rebuilt, and what is left at inference."""

from __future__ import annotations

import pytest
import torch
from drawn_clips import MODALITY, drawn_batch, drawn_clips, tiny_probe
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from pipelines.train.batches import Batch
from pipelines.train.options.ucf import MARGIN, SIDE, Generator, Ucf, UcfConfig, adain, triplets


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


def test_a_constant_channel_has_finite_gradients() -> None:
    content = torch.full((1, 2, 5), 0.3, requires_grad=True)
    adain(content, torch.randn(1, 2, 5)).sum().backward()
    assert content.grad is not None
    assert float(content.grad.abs().max()) < 1e3


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
    for part in (
        method.probe,
        method.specific,
        method.method_head,
        method.content,
        method.generator,
    ):
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
    for part in (method.specific, method.method_head, method.content, method.generator):
        for parameter in part.parameters():
            parameter.data.zero_()
    assert torch.equal(method(streams), before)


def sprites(count: int, seed: int) -> tuple[Batch, Tensor]:
    """Draw pictures of a square in one of four places, and for every second lines over them.

    The places are the content, the lines the artefact, across or along, as the clips 1 and 3 have.
    """
    rng = torch.Generator().manual_seed(seed)
    places = torch.randint(4, (count,), generator=rng)
    forged, across = torch.arange(count) % 2, torch.randint(2, (count,), generator=rng)
    pictures = 0.01 * torch.randn(count, 2, 1, 24, 24, generator=rng)
    lines = torch.zeros(24, 24)
    lines[::2] = 0.06
    for row, place in enumerate(places.tolist()):
        top, left = 2 + 12 * (place // 2), 2 + 12 * (place % 2)
        pictures[row, :, :, top : top + 8, left : left + 8] += 0.12
        pictures[row] += forged[row] * (lines if across[row] else lines.T)
    targets = torch.full((count, 2, 3), -1.0)
    targets[..., 0] = forged[:, None]
    clips = forged * (1 + 2 * across)
    return Batch({"depth": pictures}, targets, torch.ones(count, 2).bool(), clips), places


def readable(features: Tensor, labels: Tensor) -> float:
    """Return how often a linear probe on half of the rows is right on the others."""
    half = len(labels) // 2
    rule = LogisticRegression(max_iter=300).fit(features[:half].numpy(), labels[:half].numpy())
    return float(rule.score(features[half:].numpy(), labels[half:].numpy()))


def test_the_artefact_is_read_from_forgery_features_and_the_content_from_the_content() -> None:
    method, _ = method_on("depth")
    optimizer = torch.optim.Adam(method.parameters(), lr=5e-3)
    for update in range(60):
        optimizer.zero_grad()
        method.loss(sprites(16, update)[0]).backward()
        optimizer.step()
    batch, places = sprites(300, 1000)
    with torch.no_grad():
        common, specific = (f.mean(dim=1) for f in method.eval().features(batch))
        content = method.content(method.probe.pictures(batch.streams, SIDE)).mean(dim=1).flatten(1)
    forged = method.forged(batch)
    assert readable(common, forged) > 0.95
    assert readable(specific, forged) > 0.95
    assert readable(content, places) > 0.95
    assert readable(common, places) < 0.8  # chance is 0.25
