"""Forgery of face crops on the fly while training.

Self-blending (Shiohara & Yamasaki 2022) and its variants on the crops of the appearance stream: a
region of the face comes from a changed copy of itself, from another moment or from another person.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipelines.forge.picture.blur import blur

SHORTEST = 4  # steps of a forgery within a chunk
VISIBLE = 4.0  # grey levels by which some pixel of a forged step must differ


def forge_crops(
    crops: Tensor, depth: Tensor, other: Tensor, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return forged crops (L, 3, H, W) uint8 and which steps (L,) are forged.

    Args:
        crops: (L, 3, H, W) uint8, genuine.
        depth: (L, 1, h, w) of the mesh; not 0 inside the face.
        other: (L, 3, H, W) uint8, crops of another moment or person; it is used half the time.
        rng: draws region, source, strength and stretch.
    """
    genuine = crops.float()
    mask = face_region(depth, crops.shape[-1], rng)
    source = other.float() if rng.random() < 0.5 else genuine
    painted = _matched(_changed(source, rng), genuine, mask)
    mask = mask * float(rng.uniform(0.6, 1.0))
    forged = (genuine + mask * (painted - genuine)).round().clamp(0, 255).byte()
    begin, end = 0, len(crops)
    if rng.random() < 0.4 and len(crops) > 2 * SHORTEST:
        size = int(rng.integers(SHORTEST, len(crops) - SHORTEST))
        begin = int(rng.integers(0, len(crops) - size))
        end = begin + size
    hit = torch.zeros(len(crops), dtype=torch.bool)
    hit[begin:end] = True
    # a step that hardly changed is not labelled as forged
    hit &= (forged.float() - genuine).abs().flatten(1).amax(dim=1) > VISIBLE
    return torch.where(hit[:, None, None, None], forged, crops), hit


def face_region(depth: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """Return a soft mask (L, 1, side, side) in [0, 1] of the whole face or of its lower part."""
    face = (depth.float() != 0).float()
    if len(face) > 2:  # the mesh jitters; a forger's mask rarely does
        face = functional.avg_pool3d(face[None, :, 0], (3, 1, 1), 1, (1, 0, 0))[0][:, None]
    face = functional.interpolate(face, (side, side), mode="bilinear")
    face = (blur(face, rng.uniform(1, 6)) > rng.uniform(0.4, 0.85)).float()
    rows = torch.linspace(0, 1, side)[:, None]
    if rng.random() < 0.45:
        face = face * (rows > rng.uniform(0.5, 0.65)).float()
    return blur(face, rng.uniform(0.5, 5))


def _changed(source: Tensor, rng: np.random.Generator) -> Tensor:
    """Return pictures (L, 3, H, W) with slightly changed colours, position and sharpness."""
    gain = torch.from_numpy(rng.uniform(0.85, 1.15, (3, 1, 1)).astype(np.float32))
    x = source * gain + float(rng.uniform(-12, 12))
    moved = rng.random() < 0.6
    if moved:
        scale, turn = rng.uniform(0.94, 1.06), rng.uniform(-0.04, 0.04)
        shift = rng.uniform(-0.06, 0.06, 2)
        rows = [[scale, -turn, shift[0]], [turn, scale, shift[1]]]
        theta = torch.tensor(rows, dtype=torch.float32).expand(len(x), -1, -1)
        grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
        x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    draw = rng.random()
    if draw < 0.4 or not moved:  # made at a lower resolution and scaled up
        size = int(rng.uniform(0.3, 0.8) * x.shape[-1])
        small = functional.interpolate(x, (size, size), mode="bilinear", antialias=True)
        mode = ("bilinear", "bicubic")[int(rng.integers(2))]
        x = functional.interpolate(small, x.shape[-2:], mode=mode)
    elif draw < 0.55:
        x = x + float(rng.uniform(0.3, 1.2)) * (x - blur(x, 1.0))
    return x


def _matched(painted: Tensor, genuine: Tensor, mask: Tensor) -> Tensor:
    """Return `painted` (L, 3, H, W) with its mean colour under the mask moved 80 % to genuine.

    Differences of 15 grey levels or less stay.
    """
    weight = mask / mask.sum(dim=(2, 3), keepdim=True).clamp(min=1e-3)
    gap = ((genuine - painted) * weight).sum(dim=(2, 3), keepdim=True)
    near = gap.abs() > 15  # small differences are what a careful forger leaves
    return painted + torch.where(near, gap * 0.8, gap * 0.0)
