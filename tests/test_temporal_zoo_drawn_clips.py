"""Small networks on drawn clips, of which it is known what was done: each finds its own trace."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from extractors.faces import track_faces
from pipelines.cues.drawn_clips import draw, genuine, mesh_at_rest, streams_of
from pipelines.cues.drawn_forgeries import ARTEFACTS
from pipelines.metrics.classification import auc
from temporal.experts import normalise
from temporal.zoo.patch_votes import PatchVotes
from temporal.zoo.patchcraft import PatchCraft
from temporal.zoo.reconstruction import AutoEncoder

TAUGHT, HELD, STEPS = 14, 8, 8  # clips of each kind, and their length
Crops = Callable[[str], Tensor]


@pytest.fixture(scope="module")
def crops_of(face_frames: np.ndarray[Any, Any]) -> Crops:
    """A function of an artefact, or "genuine", that returns crops (22, 8, 3, 112, 112)."""
    mesh = mesh_at_rest(track_faces(face_frames[:5])[0].landmarks[0])

    @cache
    def made(name: str) -> Tensor:
        crops = []
        for index in range(TAUGHT + HELD):
            rng = np.random.default_rng((1, index))
            drawing = draw(rng, mesh, STEPS)
            clip = genuine(drawing) if name == "genuine" else ARTEFACTS[name](drawing, rng)
            crops.append(streams_of(clip)["appearance"])
        return torch.stack(crops)

    return made


def held_out_auc(part: nn.Module, less: Tensor, more: Tensor, updates: int) -> float:
    """The AUC on held-out clips of a part that learned to tell the one kind from the other."""
    optimizer = torch.optim.Adam(part.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    truth = torch.tensor([0.0] * 4 + [1.0] * 4)
    for _ in range(updates):
        drawn = [kind[torch.randperm(TAUGHT)[:4]] for kind in (less, more)]
        logits = part({"appearance": torch.cat(drawn)})[:, 0]
        loss = functional.binary_cross_entropy_with_logits(logits, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    part.eval()
    with torch.inference_mode():
        said = part({"appearance": torch.cat([less[TAUGHT:], more[TAUGHT:]])})[:, 0]
    return auc([0] * HELD + [1] * HELD, said.tolist())


def test_votes_of_patches_find_faces_that_went_through_an_autoencoder(crops_of: Crops) -> None:
    part = PatchVotes(patches=12, width=8)
    assert held_out_auc(part, crops_of("genuine"), crops_of("autoencoder"), 16) > 0.95


@pytest.mark.slow
def test_what_learned_to_rebuild_genuine_faces_rebuilds_enlarged_ones_a_decibel_better(
    crops_of: Crops,
) -> None:
    torch.manual_seed(0)
    part, taught = AutoEncoder(), normalise("appearance", crops_of("genuine")[:TAUGHT])
    optimizer = torch.optim.Adam(part.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    for _ in range(400):
        crops = taught[torch.randperm(TAUGHT)[:8], torch.randint(STEPS, (8,))]
        row, column = torch.randint(57, (2,)).tolist()
        pieces = crops[..., row : row + 56, column : column + 56]
        loss = functional.mse_loss(part(pieces), pieces)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    decibels = []
    for name in ("genuine", "upsampling"):
        held = normalise("appearance", crops_of(name)[TAUGHT:]).flatten(0, 1)
        with torch.inference_mode():
            error = (part(held) - held)[..., 28:84, 28:84]  # the face: around it both are alike
        decibels.append(float(-10 * error.square().mean().log10()))
    assert decibels[1] - decibels[0] >= 1.0


@pytest.mark.slow
def test_votes_of_patches_tell_faces_that_were_made_small_from_rebuilt_ones(
    crops_of: Crops,
) -> None:
    part = PatchVotes(patches=32, width=8)
    assert held_out_auc(part, crops_of("autoencoder"), crops_of("upsampling"), 120) > 0.9


@pytest.mark.slow
def test_votes_of_patches_tell_what_a_decoder_made_throughout_from_what_it_rebuilt(
    crops_of: Crops,
) -> None:
    crops = crops_of("genuine").float()
    grid = crops.unfold(3, 8, 8).unfold(4, 8, 8)  # (22, 8, 3, 14, 14, 8, 8)
    patches = grid.movedim(2, 4).flatten(4).flatten(0, 3)  # (N, 192)
    mean = patches.mean(dim=0)
    _, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean))  # ascending
    codes = (patches - mean) @ vectors[:, -12:]
    # Codes of no picture: each number of a patch comes from another patch.
    generator = torch.Generator().manual_seed(0)
    drawn = [column[torch.randperm(len(codes), generator=generator)] for column in codes.T]
    kinds = []
    for said in (codes, torch.stack(drawn, dim=1)):
        made = (mean + said @ vectors[:, -12:].T).reshape(*crops.shape[:2], 14, 14, 3, 8, 8)
        kinds.append(made.movedim(4, 2).transpose(4, 5).reshape(crops.shape).clamp(0, 255).byte())
    torch.manual_seed(0)
    assert held_out_auc(PatchVotes(patches=12, width=8), *kinds, 24) > 0.95


@pytest.mark.slow
def test_rich_against_poor_texture_finds_the_noise_of_another_camera(crops_of: Crops) -> None:
    part = PatchCraft(patches=27, width=8)
    assert held_out_auc(part, crops_of("genuine"), crops_of("blend"), 80) > 0.95
