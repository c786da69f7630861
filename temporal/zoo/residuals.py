"""Fixed residual filters; nothing is learned.

All take float pictures (N, C, H, W) and keep their size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

KERNEL = 5  # pixels: every high-pass kernel is padded to this size
# (row, column) of the eight neighbours, clockwise from the right.
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
EDGE3 = ((-1.0, 2.0, -1.0), (2.0, -4.0, 2.0), (-1.0, 2.0, -1.0))
EDGE5 = (
    (-1.0, 2.0, -2.0, 2.0, -1.0),
    (2.0, -6.0, 8.0, -6.0, 2.0),
    (-2.0, 8.0, -12.0, 8.0, -2.0),
    (2.0, -6.0, 8.0, -6.0, 2.0),
    (-1.0, 2.0, -2.0, 2.0, -1.0),
)


def npr(pictures: Tensor, phase: tuple[int, int] = (0, 0)) -> Tensor:
    """Return neighbouring pixel relationships (N, C, H, W): each pixel minus its 2x2 block's first.

    A picture that was enlarged twofold by repeating pixels gives zero, but only on its own grid:
    crops must be cut at even coordinates and never resized. Odd last rows and columns are compared
    with a block's first pixel as the others are.

    Args:
        pictures: (N, C, H, W).
        phase: row and column, 0 or 1, at which the grid of blocks begins; the rows and columns
            before it are zero.

    Source: Tan et al., CVPR 2024.
    """
    row, column = phase
    inner = pictures[..., row:, column:]
    firsts = inner[..., ::2, ::2].repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)
    residuals = inner - firsts[..., : inner.shape[-2], : inner.shape[-1]]
    return functional.pad(residuals, (column, 0, row, 0))


def npr_least(pictures: Tensor) -> Tensor:
    """Return `npr` (N, C, H, W) of each picture on the one of the four grids with the least energy.

    For pictures that were cut at unknown coordinates.
    """
    tried = torch.stack([npr(pictures, (row, column)) for row in (0, 1) for column in (0, 1)])
    energy = tried.square().mean(dim=(2, 3, 4))  # (4, N)
    return tried[energy.argmin(dim=0), torch.arange(len(pictures), device=pictures.device)]


def high_pass_kernels() -> Tensor:
    """Return the 30 high-pass kernels (30, 1, 5, 5) of spatial rich models; each sums to zero.

    Differences of first order (8 directions), third (8) and second (4), half 3x3 and half 5x5
    edges (4 rotations each), and both full ones.

    Source: Fridrich and Kodovsky, TIFS 2012; the choice of 30: Zhong et al., PatchCraft, 2024.
    """
    kernels = [_line((1.0, -1.0), d) for d in DIRECTIONS]
    kernels += [_line((-1.0, 3.0, -3.0, 1.0), d, first=-1) for d in DIRECTIONS]
    kernels += [_line((1.0, -2.0, 1.0), d, first=-1) for d in DIRECTIONS[:4]]
    for edge in (EDGE3, EDGE5):
        full = torch.tensor(edge)
        half = full.clone()
        half[len(edge) // 2 + 1 :] = 0.0
        kernels += [_centred(torch.rot90(half, turns)) for turns in range(4)]
    kernels += [_centred(torch.tensor(edge)) for edge in (EDGE3, EDGE5)]
    return torch.stack(kernels)[:, None]


def _line(values: tuple[float, ...], direction: tuple[int, int], first: int = 0) -> Tensor:
    """Return a kernel (5, 5) of values along a direction, from `first` pixels off the centre on."""
    kernel = torch.zeros(KERNEL, KERNEL)
    for place, value in enumerate(values, first):
        kernel[KERNEL // 2 + place * direction[0], KERNEL // 2 + place * direction[1]] = value
    return kernel


def _centred(kernel: Tensor) -> Tensor:
    margin = (KERNEL - len(kernel)) // 2
    return functional.pad(kernel, (margin,) * 4)


def high_pass(pictures: Tensor, kernels: Tensor) -> Tensor:
    """Return residuals (N, 30, H, W) of the grey level of pictures (N, 3, H, W).

    Borders are reflected: with zero padding the filters would respond to the picture's frame.
    """
    grey = pictures.mean(dim=1, keepdim=True)
    margin = KERNEL // 2
    return functional.conv2d(functional.pad(grey, (margin,) * 4, mode="reflect"), kernels)


def block_dct(pictures: Tensor) -> Tensor:
    """Return the orthonormal 8x8 block DCT (N, C, H, W) of pictures whose sides are multiples of 8.

    Coefficient (u, v) of a block stands where the block's pixel (u, v) stood, as JPEG has it.

    Raises:
        ValueError: a side is no multiple of 8.
    """
    height, width = pictures.shape[-2:]
    if height % 8 or width % 8:
        raise ValueError(f"block DCT needs sides that are multiples of 8, got {height}x{width}")
    basis = _dct_basis().to(pictures)
    split = (*pictures.shape[:2], height // 8, 8, width // 8, 8)
    blocks = pictures.reshape(split)  # (N, C, h, 8, w, 8)
    turned = torch.einsum("ui,nchiwj,vj->nchuwv", basis, blocks, basis)
    return turned.flatten(-2).flatten(-3, -2)


def _dct_basis() -> Tensor:
    """Return the orthonormal DCT-II matrix (8, 8): frequency by pixel."""
    place, frequency = torch.arange(8.0), torch.arange(8.0)[:, None]
    basis = torch.cos(math.pi * (2 * place + 1) * frequency / 16) / 2
    basis[0] /= math.sqrt(2)
    return basis


def error_level(pictures: Tensor, quality: int = 80) -> Tensor:
    """Return the error level |picture - JPEG(picture)| (N, 3, H, W) of pictures (N, 3, H, W) uint8.

    In grey levels. Areas that were saved as JPEG before hardly change; areas pasted in later do.
    """
    from torchvision.io import decode_jpeg, encode_jpeg

    again = torch.stack([decode_jpeg(encode_jpeg(p.cpu(), quality)) for p in pictures])
    return (pictures.float() - again.to(pictures.device).float()).abs()
