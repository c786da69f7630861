"""Cue isolation: the expert meant for a cue finds it, and none sees what its streams lack."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from extractors.faces import track_faces
from pipelines.cues.drawn_clips import mesh_at_rest
from pipelines.cues.drawn_forgeries import ARTEFACTS
from pipelines.cues.isolation import (
    LESSONS,
    MEANT,
    auc_row,
    can_carry,
    exhibits,
    markdown,
    train_judge,
)

CLIPS = 60  # held-out drawings, each unforged and with every artefact
Array = np.ndarray[Any, Any]
Exhibits = dict[str, list[dict[str, Tensor]]]


@pytest.fixture(scope="module")
def mesh(face_frames: Array) -> Array:
    return mesh_at_rest(track_faces(face_frames[:5])[0].landmarks[0])


def test_every_artefact_is_meant_for_one_expert_that_can_see_it() -> None:
    meant = [(expert, name) for expert, names in MEANT.items() for name in names]
    assert sorted(name for _, name in meant) == sorted(ARTEFACTS)
    assert all(can_carry(*pair) for pair in meant)


def test_what_cannot_be_seen_is_known() -> None:
    hidden = {
        expert: {name for name in ARTEFACTS if not can_carry(expert, name)} for expert in MEANT
    }
    painted = {"blend", "upsampling", "flicker", "autoencoder", "motion", "full"}
    assert hidden == {
        "appearance": {"depth", "relief", "vocoder", "lag"},
        "flow": {"depth", "relief", "vocoder", "lag"},
        "depth": painted | {"vocoder", "lag"},
        "mel": painted | {"depth", "relief"},
        "sync": set(),  # reads pictures, landmarks and sound
    }


def test_a_judge_of_restless_depth_finds_both_depth_artefacts_and_nothing_else(mesh: Array) -> None:
    def restlessness(streams: dict[str, Tensor]) -> Tensor:
        return streams["depth"].float().diff(n=2, dim=1).square().mean(dim=(1, 2, 3, 4))

    row = auc_row(restlessness, "depth", exhibits(mesh, steps=16, clips=6, seed=1))
    assert row.pop("depth") > 0.95
    assert row.pop("relief") > 0.95
    assert set(row.values()) == {0.5}


def test_crops_carry_the_flicker_to_a_judge_of_restless_colour(mesh: Array) -> None:
    def restlessness(streams: dict[str, Tensor]) -> Tensor:
        colour = streams["appearance"][..., 36:76, 36:76].float().mean(dim=(3, 4))  # (B, L, 3)
        return colour.diff(n=2, dim=1).square().mean(dim=(1, 2))

    row = auc_row(restlessness, "appearance", exhibits(mesh, steps=16, clips=6, seed=1))
    assert row["flicker"] > 0.95
    assert {row[name] for name in row if not can_carry("appearance", name)} == {0.5}


def test_the_table_tells_what_is_meant_from_what_cannot_be_seen() -> None:
    table = markdown({"flow": {name: 0.5 + 0.05 * i for i, name in enumerate(ARTEFACTS)}})
    cells = table.splitlines()[-1].strip("| ").split(" | ")
    assert cells[0] == "flow"
    assert cells[1 + list(ARTEFACTS).index("motion")] == "**0.70**"
    assert cells[1 + list(ARTEFACTS).index("depth")] == "(0.75)"
    assert cells[1 + list(ARTEFACTS).index("blend")] == "0.50"


@pytest.fixture(scope="module")
def shown(mesh: Array) -> Callable[[int], Exhibits]:
    """Held-out clips of a number of steps, made once for all experts."""
    return cache(lambda steps: exhibits(mesh, steps, CLIPS, seed=1))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("expert", list(MEANT))
def test_an_expert_finds_what_it_is_meant_for_and_nothing_that_it_cannot_see(
    expert: str, mesh: Array, shown: Callable[[int], Exhibits], tmp_path: Path
) -> None:
    judge = train_judge(expert, mesh, tmp_path)
    row = auc_row(judge, expert, shown(LESSONS[expert].steps))
    print(markdown({expert: row}))
    found = {name for name in MEANT[expert] if row[name] >= 0.95}
    assert found == set(MEANT[expert])
    assert all(row[name] == 0.5 for name in row if not can_carry(expert, name))
