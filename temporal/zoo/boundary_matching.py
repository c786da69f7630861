"""Proposals of forged intervals by their boundaries and by what lies between them.

Source: Lin et al., BMN, ICCV 2019, in a smaller size. ForgeryNet (He et al., CVPR 2021) localizes
forgeries in time by it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from temporal.zoo.boundary_losses import Targets, balanced_entropy, balanced_square, targets_of_runs

BIN = 3  # samples that are averaged to a point
HARD, EASY = 0.9, 0.5  # overlap and closeness from which on a target is positive
WEIGHT = 5.0  # of the loss of overlaps
LEAST = 1e-5  # probability of a step that no proposal covers


def sampling_mask(steps: int, points: int) -> Tensor:
    """Return the weights (T, N, T, T) by which a sequence is sampled for each start and last step.

    The proposal of start s and last step e, s <= e, is the interval [s, e + 1). It is extended by
    half of its length on both sides, and sampled at N points, each the mean of three samples, which
    interpolate linearly between the middles of steps. Samples outside the sequence are nothing;
    where e < s all weights are 0.
    """
    starts = torch.arange(steps, dtype=torch.float64)
    length = (starts[None] + 1 - starts[:, None]).clamp(min=0)  # (T, T) by start and last step
    first = starts[:, None] - length / 2 - 0.5  # in steps' middles
    along = (torch.arange(points * BIN, dtype=torch.float64) + 0.5) / (points * BIN)
    places = first + 2 * length * along[:, None, None]  # (3 N, T, T)
    near = (1 - (places[None] - starts[:, None, None, None]).abs()).clamp(min=0)  # (T, 3 N, T, T)
    near = near * (length > 0)
    return near.reshape(steps, points, BIN, steps, steps).mean(dim=2).float()


class BoundaryMatching(nn.Module):
    """Tokens, resampled to `steps`, to starts, ends, and a map of all intervals between them."""

    mask: Tensor

    def __init__(
        self, inputs: int = 64, places: tuple[int, ...] = (0, 1, 2, 3, 4, 5), steps: int = 64,
        points: int = 16, width: int = 64, deep: int = 32,
    ) -> None:  # fmt: skip
        """Make it for tokens of `inputs` numbers at these indices of S; NaN counts as 0."""
        super().__init__()
        self.places, self.steps = list(places), steps
        self.register_buffer("mask", sampling_mask(steps, points), persistent=False)
        self.base = nn.Sequential(
            nn.Conv1d(inputs * len(places), width, 3, padding=1), nn.ReLU(),
            nn.Conv1d(width, width, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.boundaries = nn.Sequential(
            nn.Conv1d(width, width, 3, padding=1), nn.ReLU(), nn.Conv1d(width, 2, 1)
        )
        self.narrow = nn.Sequential(nn.Conv1d(width, deep, 3, padding=1), nn.ReLU())
        self.join = nn.Sequential(nn.Conv3d(deep, 2 * width, (points, 1, 1)), nn.ReLU())
        self.between = nn.Sequential(
            nn.Conv2d(2 * width, deep, 1), nn.ReLU(), nn.Conv2d(deep, deep, 3, padding=1),
            nn.ReLU(), nn.Conv2d(deep, 2, 1),
        )  # fmt: skip

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L): of the best proposal that covers the step."""
        length = streams["tokens"].shape[1]
        scores = self.scores(*self.maps(streams["tokens"]))
        until = scores.flip(2).cummax(dim=2).values.flip(2).cummax(dim=1).values
        covered = until.diagonal(
            dim1=1, dim2=2
        )  # (B, T) the best that starts before and ends after
        found = functional.interpolate(covered[:, None], length, mode="linear")[:, 0]
        return found.clamp(LEAST, 1 - LEAST).logit()

    def maps(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 2, T) of starts and ends, and of the maps (B, 2, T, T).

        The maps are by start and last step: whether an interval is a forged one, and how much it
        overlaps with the one that it overlaps with most.
        """
        chosen = tokens[:, :, self.places].flatten(2).nan_to_num(0.0).transpose(1, 2)  # (B, C, L)
        read = self.base(functional.interpolate(chosen, self.steps, mode="linear"))
        sampled = torch.einsum("bct,tnse->bcnse", self.narrow(read), self.mask)
        return self.boundaries(read), self.between(self.join(sampled)[:, :, 0])

    def scores(self, boundaries: Tensor, maps: Tensor) -> Tensor:
        """Return scores (B, T, T) by start and last step: all four probabilities multiplied."""
        start, end = boundaries.sigmoid().unbind(dim=1)
        both = start[:, :, None] * end[:, None, :] * maps.sigmoid().prod(dim=1)
        return both.triu()

    def learn(
        self, streams: Mapping[str, Tensor], targets: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return step logits (B, L), and the loss () of boundaries and maps."""
        forged = (targets == 1).any(dim=2) & mask
        truth = targets_of_runs(forged, self.steps)
        boundaries, maps = self.maps(streams["tokens"])
        return self.forward(streams), map_losses(boundaries, maps, truth)

    def proposals(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return candidates (P, 3) of one clip: score, start and end in steps, unranked.

        Starts and ends are the peaks of their probability, and what exceeds half of its maximum.
        """
        tokens = streams["tokens"]
        boundaries, maps = self.maps(tokens)
        scores = self.scores(boundaries, maps)[0]
        starts, ends = (_peaks(curve) for curve in boundaries[0].sigmoid())
        rows, columns = torch.nonzero((starts[:, None] & ends[None, :]).triu(), as_tuple=True)
        scale = tokens.shape[1] / self.steps
        return torch.stack([scores[rows, columns], rows * scale, (columns + 1) * scale], dim=1)


def map_losses(boundaries: Tensor, maps: Tensor, truth: Targets) -> Tensor:
    """Return BMN's loss () of logits of boundaries (B, 2, T) and maps (B, 2, T, T)."""
    valid = torch.ones_like(truth.overlap[0], dtype=torch.bool).triu().expand_as(truth.overlap)
    every = torch.ones_like(truth.start, dtype=torch.bool)
    loss = balanced_entropy(boundaries[:, 0], truth.start > EASY, every)
    loss = loss + balanced_entropy(boundaries[:, 1], truth.end > EASY, every)
    loss = loss + balanced_entropy(maps[:, 0], truth.overlap > HARD, valid)
    return loss + WEIGHT * balanced_square(maps[:, 1].sigmoid(), truth.overlap, valid)


def _peaks(curve: Tensor) -> Tensor:
    """Return which values of a curve (T,) exceed both neighbours, or half of the largest."""
    padded = functional.pad(curve, (1, 1), value=-1.0)
    peak = (curve > padded[:-2]) & (curve > padded[2:])
    return peak | (curve > 0.5 * curve.max())
