"""Mutual scoring of unlabelled clips (MuSc): a step unlike the steps of other clips is suspicious.

Source: Li et al., MuSc, ICLR 2024, with clips in place of images and steps in place of patches.

It detects rare artefacts without training. An artefact shared by more clips than a step is compared
with has peers and goes undetected; `MutualScores.common` marks where that may be the case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from extractors.errors import InputError

SHARE = 0.3  # a step is compared with this share of the other clips: the nearest ones
REACHES = (1, 3, 5)  # steps that are averaged before comparing
CLOSE = 0.5  # a clip nearer to a step than this share of the step's usual distance is a peer
BLOCK = 256  # steps whose distances are held at once: bounds memory


@dataclass(frozen=True, eq=False)
class MutualScores:
    """Anomaly scores of the clips of a corpus."""

    scores: Tensor  # (N,) per clip, higher is more suspicious; distances of unit vectors
    curves: list[Tensor]  # (T,) each clip's step scores
    peers: Tensor  # (N,) how many other clips share the clip's most unusual step
    common: Tensor  # (N,) bool: at least as many share it as a step is compared with


def mutual_scores(
    clips: Sequence[Tensor],
    rescored: Sequence[int] = (1, 2, 3),
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> MutualScores:
    """Return the scores of clips by how far each step is from the nearest of the other clips.

    Args:
        clips: tokens (T, D) of each clip; at least three clips, lengths may differ.
        rescored: numbers of nearest clips, itself included, that a clip's score is averaged over.
        on_step: called with the number of comparisons done and their total.

    Raises:
        InputError: there are fewer than three clips.
    """
    if len(clips) < 3:
        raise InputError(f"mutual scoring compares clips: expected 3 or more, got {len(clips)}")
    nearest = max(int(SHARE * (len(clips) - 1)), 1)
    curves = [torch.zeros(len(clip)) for clip in clips]
    peers = torch.zeros(len(clips), dtype=torch.long)
    total = len(REACHES) * len(clips)
    for place, reach in enumerate(REACHES):
        pooled = [pooled_steps(clip, reach) for clip in clips]
        for index, steps in enumerate(pooled):
            others = [other for i, other in enumerate(pooled) if i != index]
            far = _distances(steps, others)  # (T, N - 1)
            curves[index] += far.topk(nearest, largest=False).values.mean(dim=1) / len(REACHES)
            typical = far.quantile(0.9, dim=1)
            odd = int(typical.argmax())  # far from most clips, however many others share it
            peers[index] = max(peers[index], (far[odd] < CLOSE * typical[odd]).sum())
            on_step(place * len(clips) + index + 1, total)
    scores = torch.stack([curve.max() for curve in curves])
    whole = torch.stack([clip.float().mean(dim=0) for clip in clips])
    return MutualScores(smoothed(scores, whole, rescored), curves, peers, peers >= nearest)


def pooled_steps(tokens: Tensor, reach: int) -> Tensor:
    """Return unit vectors (T, D) of tokens normed over the clip and averaged over `reach` steps."""
    normed = functional.layer_norm(tokens.float(), tokens.shape)
    mean = functional.avg_pool1d(normed.T[None], reach, 1, reach // 2)[0].T
    return functional.normalize(mean, dim=1)


def _distances(steps: Tensor, others: Sequence[Tensor]) -> Tensor:
    """Return the distance (T, M) of steps (T, D) to the nearest step of each of M other clips."""
    blocks = [
        torch.stack([torch.cdist(block, other).amin(dim=1) for other in others], dim=1)
        for block in torch.split(steps, BLOCK)
    ]
    return torch.cat(blocks)


def smoothed(scores: Tensor, clips: Tensor, counts: Sequence[int]) -> Tensor:
    """Return scores (N,) averaged over each clip's nearest clips, by cosine of vectors (N, D).

    The averages for the different counts of nearest clips are averaged in turn. A clip is its own
    nearest, and equal scores stay as they are. The paper first scales scores to [0, 1]; averaging
    commutes with shift and scale, so the order is the same, and unscaled scores can be compared
    between corpora.
    """
    unit = functional.normalize(clips.float(), dim=1)
    alike = unit @ unit.T
    alike.fill_diagonal_(1.0)
    averages = []
    for count in counts:
        nearest = alike.topk(min(count, len(scores)), dim=1)
        weights = nearest.values.clamp(min=0)
        averages.append((weights * scores[nearest.indices]).sum(dim=1) / weights.sum(dim=1))
    return torch.stack(averages).mean(dim=0)


def guard(common: int, clips: int) -> str | None:
    """Return a warning if some clips (`common` of `clips`) share a trait with many others."""
    if not common:
        return None
    return (
        f"{common} of {clips} share something peculiar with three in ten of the others or more: "
        "what so many have in common cannot be found by comparing them with each other"
    )
