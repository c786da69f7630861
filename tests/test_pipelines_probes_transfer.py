"""The attack on the encoder: within its bound, monotone, and pasted where the face is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from drawn_panel import DrawnPanel, drawn_samples

from extractors.encoder import EncoderConfig, VisionTransformer
from extractors.errors import InputError
from pipelines.metrics.security import pgd
from pipelines.probes import transfer
from pipelines.probes.tables import transfer_table
from pipelines.probes.transfer import attack_encoder, pasted, token_shift, transfer_probe


def encoder() -> VisionTransformer:
    torch.manual_seed(0)
    config = EncoderConfig(image=16, patch=8, width=16, heads=2, hidden=16, layers=3)
    made = VisionTransformer(config).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made


PICTURES = 255 * torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_the_pattern_stays_within_its_bound_and_moves_the_tokens_more_than_chance() -> None:
    network = encoder()
    pattern = attack_encoder(network, PICTURES, 8.0, 5)
    assert float(pattern.abs().max()) <= 8.0 + 1e-4
    shift = token_shift(network, PICTURES, [1, 2, 3])
    chance = 8.0 * torch.randn(3, 16, 16).sign()
    with torch.no_grad():
        assert float(shift(pattern)) > 1.5 * float(shift(chance))
        assert float(shift(0 * pattern)) == pytest.approx(0, abs=1e-5)


def test_the_loss_never_falls_from_step_to_step() -> None:
    shift = token_shift(encoder(), PICTURES, [2])
    start = torch.full((3, 16, 16), 0.5)
    _, history = pgd(shift, start, 7.5, 6)
    assert history == sorted(history)
    assert history[-1] > history[0]


def test_the_first_step_of_a_linear_layer_is_the_sign_of_its_gradient() -> None:
    """Of h = W x the cosine with a fixed h0 has a gradient in closed form."""
    weight, x = torch.randn(5, 4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    clean = weight @ x

    def loss(point: torch.Tensor) -> torch.Tensor:
        return 1 - torch.nn.functional.cosine_similarity(weight @ point, clean, dim=0)

    start = x + 0.1
    moved, _ = pgd(loss, start, 0.4, 1)
    h = weight @ start
    cosine = h @ clean / (h.norm() * clean.norm())
    gradient = -weight.T @ (clean / (h.norm() * clean.norm()) - cosine * h / h.norm() ** 2)
    assert torch.allclose(moved - start, 0.1 * gradient.sign())


@pytest.mark.parametrize("roll", [0.0, 0.3])
def test_a_pattern_is_pasted_where_its_crop_was_cut(roll: float) -> None:
    from extractors.crops import crop_square

    square, frame = (
        np.array([50.0, 44.0, 48.0, roll], np.float32),
        np.full((90, 100, 3), 100, np.uint8),
    )
    rows, columns = np.mgrid[:48, :48]
    soft = 40 * np.exp(-((rows - 16) ** 2 + (columns - 30) ** 2) / 60)
    pattern = soft[..., None].repeat(3, -1).astype(np.float32)
    found = crop_square(pasted(frame, pattern, square), square, (48, 48)).astype(float) - 100
    assert np.abs(found - pattern).max() < 3
    assert np.array_equal(pasted(frame, 0 * pattern, square), frame)


def test_experts_that_read_the_encoder_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    panel: Any = DrawnPanel()
    monkeypatch.setattr("pipelines.probes.under_changes.opening", panel.opening)
    portrait = SimpleNamespace(encoder=encoder())
    panel.session.extractor = SimpleNamespace(portrait_encoder=lambda: portrait)
    monkeypatch.setattr(transfer, "READERS", ("light",))
    monkeypatch.setattr(
        transfer, "_attacked", lambda encoder, panel, epsilon, steps, frames: frames // 2
    )
    found = transfer_probe(drawn_samples(6), panel)
    light = found["experts"]["light"]
    assert light["shares_encoder"]
    assert light["error"] == 0.0
    assert light["success"] == 0.5  # darkened, the fakes pass; the genuine ones stay so
    assert transfer_table(found)[2].startswith("| light | yes | 6 | 0.000 | 0.500 |")
    panel.session.extractor = SimpleNamespace(portrait_encoder=lambda: None)
    with pytest.raises(InputError, match="no picture encoder"):
        transfer_probe(drawn_samples(2), panel)


def test_an_attack_within_nothing_succeeds_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    panel: Any = DrawnPanel()
    monkeypatch.setattr("pipelines.probes.under_changes.opening", panel.opening)
    panel.session.extractor = SimpleNamespace(
        portrait_encoder=lambda: SimpleNamespace(encoder=encoder()),
        faces=SimpleNamespace(margin=1.3),
    )
    square = np.array([36.0, 36.0, 40.0, 0.0], np.float32)
    monkeypatch.setattr(transfer, "face_squares", lambda p, f: square[None].repeat(len(f), 0))
    found = transfer_probe(drawn_samples(2), panel, epsilon=0.0)
    assert [row["success"] for row in found["experts"].values()] == [0.0, 0.0]
    assert Path("0.mp4").exists() is False  # nothing was read but what was drawn
