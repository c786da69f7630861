"""The losses: cross-entropy, focal and IoU losses. Unknown targets are -1 and are left out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

UNKNOWN = -1.0


def step_loss(
    logits: Tensor, targets: Tensor, mask: Tensor | None = None, positive_weight: float = 1.0
) -> Tensor:
    """Return the mean binary cross-entropy of the labelled steps, 0 if there are none.

    Args:
        logits: (N, L, 3).
        targets: (N, L, 3) in [0, 1], or -1 where a modality's label is unknown.
        mask: (N, L) bool, False where there is no step.
        positive_weight: weight of each manipulated step.
    """
    known = known_steps(targets, mask)
    weight = known * (1 + (positive_weight - 1) * targets.float().clamp(min=0))
    loss = F.binary_cross_entropy_with_logits(
        logits.float(), targets.float().clamp(min=0), reduction="none"
    )
    return (weight * loss).sum() / weight.sum().clamp(min=1e-8)


def clip_loss(logits: Tensor, targets: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Return the mean binary cross-entropy of clip logits and targets (B, ...), -1 unknown."""
    return step_loss(logits, targets, None, positive_weight)


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    mask: Tensor | None = None,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> Tensor:
    """Return the focal loss of the proposals per positive proposal (Lin et al. 2017).

    The binary cross-entropy is multiplied by `(1 - p)^gamma`, p being the probability of the true
    class, and by alpha for positives and 1 - alpha for negatives: the many easy negatives count
    little. The sum is divided by the number of positives, or by 1 if there are none.

    Args:
        logits: (N, L, K, 3).
        targets: (N, L, K, 3) 0 or 1, or -1 where unknown.
        mask: (N, L) bool, False where there is no step.
        alpha: weight of the positives; a negative value means no class weights.
        gamma: 0 gives the cross-entropy.
    """
    known = known_steps(targets, mask)
    logits, truth = logits.float(), targets.float().clamp(min=0)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    wrong = logits.sigmoid() * (1 - truth) + (1 - logits.sigmoid()) * truth  # 1 - p
    loss = entropy * wrong**gamma
    if alpha >= 0:
        loss = loss * (alpha * truth + (1 - alpha) * (1 - truth))
    return (known * loss).sum() / (known * truth).sum().clamp(min=1)


def reach_loss(
    reach: Tensor,
    target: Tensor,
    positive: Tensor,
    mask: Tensor | None = None,
    kind: str = "diou",
) -> Tensor:
    """Return the mean of 1 - DIoU (or GIoU) over the positive proposals, 0 if there are none.

    Args:
        reach: (N, L, K, 3, 2) >= 0, distances from the step to the segment's start and end.
        target: the true distances, of the same shape and unit.
        positive: (N, L, K, 3), 1 where there is a segment to propose; others (0, -1) are left out.
        mask: (N, L) bool, False where there is no step.
        kind: "diou" or "giou".
    """
    if kind not in ("diou", "giou"):
        raise ValueError(f"expected kind 'diou' or 'giou', got {kind!r}")
    chosen = (positive > 0).float() * known_steps(positive, mask)
    sign = reach.new_tensor([-1.0, 1.0], dtype=torch.float32)
    overlap = diou if kind == "diou" else giou
    loss = 1 - overlap(reach.float() * sign, target.float() * sign)  # the step is at 0
    return (chosen * loss).sum() / chosen.sum().clamp(min=1)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the intersection over union (...) of segments (..., 2): start and end."""
    shared, union, _ = _overlap(first, second)
    return shared / union.clamp(min=1e-8)


def giou(first: Tensor, second: Tensor) -> Tensor:
    """Return the generalized IoU (...) of segments (..., 2): IoU - share of the hull in neither.

    In (-1, 1]. It equals `iou` where the segments share a point, as two reaches of one step do.
    """
    shared, union, hull = _overlap(first, second)
    return shared / union.clamp(min=1e-8) - (hull - union) / hull.clamp(min=1e-8)


def diou(first: Tensor, second: Tensor) -> Tensor:
    """Return the distance IoU (...) of segments (..., 2): IoU - (centre distance / hull)²."""
    shared, union, hull = _overlap(first, second)
    distance = first.mean(dim=-1) - second.mean(dim=-1)
    return shared / union.clamp(min=1e-8) - (distance / hull.clamp(min=1e-8)) ** 2


def _overlap(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the lengths of intersection, union and hull (...)."""
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    shared = (low[..., 1] - high[..., 0]).clamp(min=0)
    lengths = (first[..., 1] - first[..., 0]) + (second[..., 1] - second[..., 0])
    return shared, lengths - shared, high[..., 1] - low[..., 0]


def known_steps(targets: Tensor, mask: Tensor | None) -> Tensor:
    """Return 1.0 where a target is known and unmasked, else 0.0, in its shape (N, L, ...)."""
    known = targets >= 0
    if mask is not None:
        known = known & mask.reshape(mask.shape + (1,) * (targets.ndim - mask.ndim))
    return known.float()
