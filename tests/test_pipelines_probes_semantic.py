"""The semantic attack: it passes the experts that it sees, stays on what the decoder can make."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipelines.probes import semantic
from pipelines.probes.semantic import attacked, latent_attack
from pipelines.probes.tables import semantic_table
from temporal.zoo.fingerprint import PrintRemover, trained_remover


def faces(count: int) -> Tensor:
    """(N, 3, 16, 16) in [0, 1]: soft colours."""
    generator = torch.Generator().manual_seed(count)
    soft = torch.rand(count, 3, 2, 2, generator=generator)
    return torch.nn.functional.interpolate(soft, 16, mode="bilinear") * 0.6 + 0.2


@pytest.fixture(scope="module")
def remover() -> PrintRemover:
    return trained_remover(faces(32), 4, False, 150)


def red(crops: Tensor) -> Tensor:
    """Fake where red outweighs blue."""
    return (crops[:, 0] - crops[:, 2]).mean(dim=(1, 2)) / 10


def redder(crops: Tensor) -> Tensor:
    return red(crops) * 0.8 + 0.2


def left(crops: Tensor) -> Tensor:
    """Fake where the left is brighter than the right."""
    return (crops[..., :8] - crops[..., 8:]).mean(dim=(1, 2, 3)) / 10


def test_an_attack_lowers_the_experts_that_it_sees_and_the_control_hardly_any(
    remover: PrintRemover,
) -> None:
    code = remover.encode(faces(3)[:1])[0].detach()
    plain = 255 * remover.decode(code).detach()
    seen, control = (255 * latent_attack(remover, code, e, 60) for e in ([red], []))
    assert float(red(seen)) < float(red(plain)) - 0.3
    assert abs(float(red(control)) - float(red(plain))) < 0.2
    brighter = (control - plain).mean() / 255
    assert float(brighter) == pytest.approx(semantic.BRIGHTER, abs=0.02)


def test_what_is_like_the_attacked_falls_with_it_and_rebuilding_hardly_changes_it(
    remover: PrintRemover,
) -> None:
    crop = (255 * faces(5)[0]).round().byte()
    row = attacked(remover, crop, {"red": red, "redder": redder, "left": left}, 60)
    before, without = row["logits"]["rebuilt"], row["logits"]["redder"]
    assert without["red"] < before["red"]
    assert without["redder"] < before["redder"]  # left out, and fell with its like
    assert row["error"] < 0.2


def test_the_table_marks_the_expert_that_was_left_out() -> None:
    metrics = {
        "experts": ["a", "b"], "attacked": 3, "given": 4, "error": 0.05, "error_rebuilt": 0.04,
        "control": {"a": 0.0, "b": None}, "left_out": {"a": {"a": 0.5, "b": 1.0},
                                                       "b": {"a": 1.0, "b": 0.25}},
    }  # fmt: skip
    lines = semantic_table(metrics)
    assert "| a | **0.500** | 1.000 |" in lines
    assert "| (brightness alone) | 0.000 | – |" in lines
