"""The auto-encoder against fingerprints: places keep edges, and it adds no trace of its own."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional

from temporal.zoo.fingerprint import PrintRemover, rebuilt, trained_remover


def pictures(count: int, seed: int) -> Tensor:
    """(N, 3, 32, 32) in [0, 1]: a step at a random column, soft colours and a little noise."""
    generator = torch.Generator().manual_seed(seed)
    soft = torch.rand(count, 3, 3, 3, generator=generator)
    canvas = functional.interpolate(soft, 32, mode="bilinear", align_corners=True) * 0.4
    for picture, column in zip(
        canvas, torch.randint(6, 26, (count,), generator=generator), strict=True
    ):
        picture[..., int(column) :] += 0.4
    noise = 0.02 * torch.randn(canvas.shape, generator=generator)
    return (canvas + noise).clamp(0, 1)


def test_the_code_is_an_eighth_in_size_and_pictures_of_any_size_come_back_in_it() -> None:
    remover = PrintRemover(latent=4).eval()
    code, places = remover.encode(torch.rand(2, 3, 32, 48))
    assert code.shape == (2, 4, 4, 6)
    assert [tuple(p.shape[-2:]) for p in places] == [(16, 24), (8, 12), (4, 6)]
    out = rebuilt(remover, torch.rand(2, 3, 37, 50))
    assert out.shape == (2, 3, 37, 50)
    assert 0 <= out.min() <= out.max() <= 1


def passing(places: bool) -> PrintRemover:
    """One whose every kernel passes three channels on as they are."""
    remover = PrintRemover(3, places).eval()
    for layer in (*remover.down, remover.code, remover.begin, *remover.up):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        for channel in range(3):
            layer.weight.data[channel, channel, 1, 1] = 1.0
    return remover


def test_places_put_a_bright_pixel_back_and_without_them_its_whole_field_is_bright() -> None:
    picture = torch.zeros(1, 3, 16, 16)
    picture[..., 5, 9] = 0.8
    assert torch.equal(passing(places=True)(picture), picture)
    field = torch.zeros(1, 3, 16, 16)
    field[..., :8, 8:] = 0.8
    assert torch.equal(passing(places=False)(picture), field)


def test_training_brings_the_rebuilt_nearer_to_the_picture() -> None:
    unseen = pictures(16, 1)
    errors = [
        functional.mse_loss(rebuilt(trained_remover(pictures(64, 0), 4, True, n), unseen), unseen)
        for n in (1, 60)
    ]
    assert errors[1] < 0.5 * errors[0]


def test_two_halves_of_genuine_pictures_stay_alike_once_both_are_rebuilt() -> None:
    remover = trained_remover(pictures(64, 0), 1, True, 60)
    first, second = (rebuilt(remover, pictures(120, seed)).flatten(1) for seed in (3, 4))
    rows = torch.cat([first, second])[:, ::7].numpy()
    labels = [0] * 120 + [1] * 120
    taught, tried = slice(0, None, 2), slice(1, None, 2)
    model = LogisticRegression(C=0.01).fit(rows[taught], labels[taught])
    assert roc_auc_score(labels[tried], model.decision_function(rows[tried])) == pytest.approx(
        0.5, abs=0.15
    )
