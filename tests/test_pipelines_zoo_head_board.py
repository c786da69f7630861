"""Tables of heads by hand-made vectors, whose right answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fusion.heads.closed import FamilyHead
from fusion.heads.open import OpenFamilyHead
from pipelines.zoo.head_board import (
    heads_table,
    measured_families,
    measured_laundering,
    measured_types,
    newcomers,
)
from pipelines.zoo.head_clips import HeadClips, HeadConfig
from pipelines.zoo.heads import (
    build_head,
)

LABELS = {"swap": ("*swap*",), "voice": ("@audio", "!*spliced*")}


def made_clips(targets: torch.Tensor, vectors: torch.Tensor, methods: list[str]) -> HeadClips:
    """Clips with given vectors."""
    return HeadClips([], vectors, targets, methods, torch.tensor([m != "d" for m in methods]))


class Pass(FamilyHead):
    """A head whose embedding and description are the vector itself."""

    def embed(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the vectors at unit length."""
        return torch.nn.functional.normalize(vectors, dim=-1)


def test_families_strangers_and_the_genuine_are_counted_apart() -> None:
    head = Pass(3, 2, dim=3)
    with torch.no_grad():
        head.proxies.copy_(torch.eye(3)[:2])
    nan = float("nan")
    targets = torch.tensor([[1, 0], [0, 1], [0, 1], [nan, nan], [0, 0]])
    vectors = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 0.2, 0], [0.3, 0, 1], [0, 0, 1.0]])
    row = measured_families(head, ["a", "b"], made_clips(targets, vectors, list("abbcr")))
    assert (row["known"], row["strangers"], row["genuine"]) == (3, 1, 1)
    assert row["family right"][0] == pytest.approx(2 / 3)
    assert row["strangers called unknown"][0] == row["genuine called unknown"][0] == 1.0
    assert row["AUC of strangers against known"][0] == 1.0
    assert "| known | 3 |" in heads_table({"family": {"title": "t", **row}})


def test_an_open_head_says_which_strangers_belong_together() -> None:
    head = OpenFamilyHead(4, 2, dim=4, novel=1, part=2).eval()
    head.embed = lambda given: given  # type: ignore[method-assign]
    with torch.no_grad():
        head.proxies.copy_(torch.eye(4)[:2])
        head.others.copy_(torch.eye(4)[2:])
    targets = torch.full((6, 2), float("nan"))
    targets[0], targets[1] = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0])
    vectors = torch.eye(4)[[0, 2, 3, 3, 1, 1]]
    row = measured_families(head, ["a", "b"], made_clips(targets, vectors, list("ardcee")))
    # of the strangers d and c fell into one class, e into another
    assert row["strangers by the head's classes: accuracy"] == 0.75
    assert 0 < row["strangers by the head's classes: ARI"] < 1


def test_newcomers_are_found_by_a_few_clips() -> None:
    which = np.arange(40) % 4
    embedded = torch.nn.functional.normalize(
        torch.eye(4)[torch.from_numpy(which)] + 0.05 * torch.randn(40, 4), dim=-1
    )
    row = newcomers(embedded, np.array([f"g{w}" for w in which]))
    assert row["right by 1 clips"] == (1.0, 1.0, 1.0)
    assert row["right by chance"] == 0.25
    assert row["cluster accuracy"] == 1.0


def test_real_laundered_and_synthetic_are_counted_apart() -> None:
    config = HeadConfig("t", "laundering", {"laundered": ("a",), "synthetic": ("b",)})
    head = build_head(config, 2).eval()
    targets = torch.tensor([[0.0, 0], [0, 0], [1, 0], [0, 1]])
    head.forward = lambda given: given  # type: ignore[method-assign]
    said = torch.tensor([[-1.0, 9], [1, -1], [1, -1], [1, 1]])
    row = measured_laundering(head, made_clips(targets, said, list("rrab")))  # type: ignore[arg-type]
    assert row["right of 2 real"][0] == 0.5
    assert row["right of 1 laundered"][0] == row["right of 1 synthetic"][0] == 1.0
    assert row["balanced accuracy"] == pytest.approx(2.5 / 3)
    assert row["AUC of synthetic against laundered"][0] == 1.0


def test_types_are_measured_by_label_and_by_how_many_a_clip_has() -> None:
    config = HeadConfig("t", "types", LABELS)
    head = build_head(config, 2).eval()
    targets = torch.tensor([[1.0, 0], [0, 1], [1, 1], [0, 0], [float("nan")] * 2])
    head.forward = lambda given: given  # type: ignore[method-assign]
    row = measured_types(head, list(LABELS), made_clips(targets, 2 * targets - 1, list("abcde")))  # type: ignore[arg-type]
    assert (row["clips"], row["forged"]) == (4, 3)
    assert row["map"][0] == row["exact"][0] == row["any_correct of 2"][0] == 1.0
    assert row["AUC of voice, 2 of 3 clips"][0] == 1.0  # d has no picture
