"""Low-rank changes of an encoder's matrices, as many ranks as each has contributed.

Source: Park et al., Contribution-based Low-Rank Adaptation (CoLoRA), ECCV 2024; low rank: Hu et
al., LoRA, 2022.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from extractors.encoder import VisionTransformer


class LowRank(nn.Module):
    """A matrix (O, I) changed by a product of two narrow ones, which is zero at first."""

    def __init__(self, matrix: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = matrix.shape
        self.down = nn.Parameter(torch.randn(rank, columns, device=matrix.device) / columns**0.5)
        self.up = nn.Parameter(torch.zeros(rows, rank, device=matrix.device))

    def forward(self, matrix: Tensor) -> Tensor:
        """Return the changed matrix (O, I)."""
        return matrix + self.up @ self.down


def matrices(encoder: VisionTransformer) -> dict[str, nn.Linear]:
    """Return the linear layers of an encoder's blocks by name."""
    named = encoder.blocks.named_modules()
    return {name: layer for name, layer in named if isinstance(layer, nn.Linear)}


def contributions(
    encoder: VisionTransformer, changes: Mapping[str, Tensor], losses: Iterable[Tensor]
) -> dict[str, float]:
    """Return how much a change of each matrix changes the loss up or down, to first order.

    The mean over a matrix and over calibration batches of |gradient · change|.

    Args:
        encoder: with the weights before the change.
        changes: of each matrix, by the names of `matrices`.
        losses: of the batches, each computed by the encoder when it is asked for.
    """
    layers = matrices(encoder)
    weights = [layers[name].weight for name in changes]
    each = []
    for loss in losses:
        gradients = torch.autograd.grad(loss, weights)
        pairs = zip(gradients, changes.values(), strict=True)
        each.append(torch.stack([(gradient * change).abs().mean() for gradient, change in pairs]))
    return dict(zip(changes, torch.stack(each).mean(dim=0).tolist(), strict=True))


def ranks_within(
    contributed: Mapping[str, float], shapes: Mapping[str, tuple[int, int]], budget: int
) -> dict[str, int]:
    """Return each matrix's rank, in proportion to what it contributed; those of none are left out.

    Args:
        contributed: see `contributions`.
        shapes: of the matrices.
        budget: numbers that all changes together may have; a rank costs rows plus columns.
    """
    cost = {name: sum(shape) for name, shape in shapes.items()}
    total = sum(contributed[name] * cost[name] for name in shapes)
    scale = budget / total if total else 0.0
    ranks = {n: min(int(scale * contributed[n]), *shape) for n, shape in shapes.items()}
    return {name: rank for name, rank in ranks.items() if rank}


def add_low_rank(encoder: VisionTransformer, ranks: Mapping[str, int]) -> None:
    """Freeze an encoder and give matrices a change of their rank to learn, in place."""
    encoder.requires_grad_(False)
    layers = matrices(encoder)
    for name, rank in ranks.items():
        layer = layers[name]
        parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank))


def merged(encoder: VisionTransformer) -> dict[str, Tensor]:
    """Return an ordinary encoder's weights, low-rank changes multiplied into its matrices."""
    state = {n: t for n, t in encoder.state_dict().items() if ".parametrizations." not in n}
    weights = {f"blocks.{n}.weight": layer.weight for n, layer in matrices(encoder).items()}
    return state | {name: weight.detach() for name, weight in weights.items()}
