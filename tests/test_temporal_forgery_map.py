"""Grey-scale maps of forgeries: their closed forms, and where a decoder can see."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torchvision.models import mobilenet_v2

from temporal.experts import AppearanceExpert
from temporal.forgery_map import (
    CELLS,
    LAYERS,
    ForgeryMap,
    face_cells,
    grey_map,
    in_cells,
    map_cosine,
    map_loss,
    map_psnr,
    map_ssim,
    seen_by,
)


def test_the_truth_is_the_mean_difference_of_colours_by_the_largest_of_the_clip() -> None:
    genuine = torch.full((2, 3, 8, 8), 100, dtype=torch.uint8)
    forged = genuine.clone()
    forged[0, :, 2, 3] = torch.tensor([130, 70, 100], dtype=torch.uint8)  # mean 20
    forged[1, :, 4, 4] = 110  # mean 10
    truth = grey_map(genuine, forged)
    assert truth.shape == (2, 8, 8)
    assert float(truth[0, 2, 3]) == pytest.approx(1.0)
    assert float(truth[1, 4, 4]) == pytest.approx(0.5)
    assert float(truth.sum()) == pytest.approx(1.5)


def test_what_was_not_forged_is_black_and_what_coding_changes_counts_as_nothing() -> None:
    genuine = torch.randint(0, 200, (1, 3, 8, 8), dtype=torch.uint8)
    assert not grey_map(genuine, genuine).any()
    coded = genuine + torch.randint(0, 3, (1, 3, 8, 8), dtype=torch.uint8)
    coded[..., 0, 0] = genuine[..., 0, 0] + 40
    truth = grey_map(genuine, coded, least=4.0)
    assert truth.nonzero().tolist() == [[0, 0, 0]]


def test_a_cell_is_the_mean_of_its_pixels() -> None:
    maps = torch.zeros(1, 112, 112)
    maps[0, :4, 4:8] = torch.arange(16).reshape(4, 4) / 15
    cells = in_cells(maps)
    assert cells.shape == (1, CELLS, CELLS)
    assert float(cells[0, 0, 1]) == pytest.approx(0.5)
    assert float(cells.sum()) == pytest.approx(0.5)


def test_the_cosine_knows_no_scale_and_the_ratio_of_a_constant_error_is_its_level() -> None:
    truth = torch.rand(3, CELLS, CELLS)
    assert float(map_cosine(truth, truth)) == pytest.approx(1.0, abs=1e-5)
    other = torch.rand(3, CELLS, CELLS)
    assert float(map_cosine(3 * other, truth)) == pytest.approx(
        float(map_cosine(other, truth)), abs=1e-5
    )
    assert float(map_psnr(truth + 0.05, truth)) == pytest.approx(-20 * math.log10(0.05), abs=1e-3)


def test_structural_similarity_is_that_of_scipys_bells_and_known_for_flat_maps() -> None:
    found, truth = (torch.rand(2, CELLS, CELLS, dtype=torch.float64) for _ in range(2))
    alike = []
    for a, b in zip(found.numpy(), truth.numpy(), strict=True):
        # 3.5 spreads to either side are 11 places; away from the edge no mirror is seen
        mean, other, squares, others, both = (
            gaussian_filter(x, 1.5, truncate=3.5)[5:-5, 5:-5] for x in (a, b, a * a, b * b, a * b)
        )
        shared, spread = both - mean * other, squares - mean**2 + others - other**2
        light = (2 * mean * other + 1e-4) / (mean**2 + other**2 + 1e-4)
        alike.append((light * (2 * shared + 9e-4) / (spread + 9e-4)).mean())
    assert float(map_ssim(found, truth)) == pytest.approx(sum(alike) / 2, abs=1e-9)
    assert float(map_ssim(truth, truth)) == pytest.approx(1.0)
    flat = [torch.full((1, CELLS, CELLS), level, dtype=torch.float64) for level in (0.2, 0.4)]
    assert float(map_ssim(*flat)) == pytest.approx((0.16 + 1e-4) / (0.2 + 1e-4))


def test_the_face_is_where_its_mesh_is_and_a_tenth_of_the_crop_around_it() -> None:
    depth = torch.zeros(1, 1, 56, 56)
    depth[0, 0, 28, 30] = 0.1  # cell 14, 15
    rows, columns = face_cells(depth)[0].nonzero().T
    assert (int(rows.min()), int(rows.max())) == (11, 17)
    assert (int(columns.min()), int(columns.max())) == (12, 18)


def test_the_layers_are_those_of_the_expert_and_of_the_sizes_that_the_decoder_takes() -> None:
    stem = AppearanceExpert(8, 8, 0.0, flicker=False).stem.eval()
    assert [str(a) for a in stem] == [str(b) for b in mobilenet_v2().features[:14]]
    seen = seen_by(stem, torch.randint(0, 255, (2, 3, 112, 112), dtype=torch.uint8))
    assert [tuple(x.shape) for x in seen] == [(2, c, n, n) for c, n in LAYERS.values()]


def untrained() -> tuple[ForgeryMap, list[torch.Tensor]]:
    """A decoder whose last layer says something, and what a stem sees."""
    decoder = ForgeryMap(width=8).eval()
    return decoder, [torch.randn(2, c, n, n) for c, n in LAYERS.values()]


def test_off_the_face_the_map_is_that_of_nothing_seen() -> None:
    decoder, seen = untrained()
    face = torch.zeros(2, CELLS, CELLS)
    face[:, 5:20, 5:20] = 1
    logits = decoder(seen, face)
    off = logits[face == 0]
    assert torch.equal(off, off[:1].expand_as(off))
    on = logits[face == 1]
    assert float(on.detach().std()) > 0
    with torch.inference_mode():
        other = decoder([torch.randn_like(x) for x in seen], face)
    assert torch.equal(other[face == 0], off)


def test_every_layer_that_is_read_changes_the_map() -> None:
    decoder, seen = untrained()
    face = torch.ones(2, CELLS, CELLS)
    with torch.inference_mode():
        whole = decoder(seen, face)
        for index in range(len(seen)):
            less = [torch.zeros_like(x) if i == index else x for i, x in enumerate(seen)]
            assert not torch.allclose(decoder(less, face), whole, atol=1e-5)


def test_the_loss_is_least_at_the_truth() -> None:
    truth = torch.rand(2, CELLS, CELLS).clamp(0.05, 0.95)
    best = map_loss(truth.logit(), truth)
    entropy = -(truth * truth.log() + (1 - truth) * (1 - truth).log()).mean()
    assert float(best) == pytest.approx(float(entropy), abs=1e-5)
    for shift in (-0.5, 0.5):
        assert float(map_loss(truth.logit() + shift, truth)) > float(best)


def test_at_even_odds_logits_move_by_the_log_odds_of_training() -> None:
    torch.manual_seed(0)
    decoder = ForgeryMap(width=8).eval()
    seen = [torch.randn(2, channels, side, side) for channels, side in LAYERS.values()]
    face = torch.zeros(2, CELLS, CELLS)
    face[:, 8:20, 8:20] = 1
    with torch.inference_mode():
        before = decoder(seen, face)
    decoder.at_even_odds(0.75)
    with torch.inference_mode():
        moved = before - decoder(seen, face)
    torch.testing.assert_close(moved, torch.full_like(moved, math.log(3.0)))
