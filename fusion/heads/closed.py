"""What the experts say of a whole clip in, what kind of forgery it is out: small heads.

A clip is one vector: how each expert's tokens lie and how they vary, and how loud its opinion is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SHARPNESS = 32.0  # alpha of the proxy-anchor loss
MARGIN = 0.1  # delta: how much nearer or farther than a right angle is enough
EXTREME = 5.0  # deviations; no single number decides alone
PEAK = 25  # steps: an expert's loudest second


def clip_vector(tokens: Tensor, opinions: Tensor) -> Tensor:
    """Return one vector (2 * S * D + 2 * K,) of a clip's tokens (T, S, D) and opinions (T, K).

    Means and deviations of the tokens over time, then means and peaks of the opinions. What an
    expert had nothing to judge for (NaN) is zero.
    """
    steps = len(tokens)
    peaks = opinions.nan_to_num(-1e4).topk(min(PEAK, steps), dim=0).values.mean(dim=0)
    means = opinions.nanmean(dim=0)
    parts = [
        tokens.mean(dim=0).flatten(),
        tokens.std(dim=0, correction=0).flatten(),
        means,
        peaks.masked_fill(means.isnan(), torch.nan),
    ]
    return torch.cat(parts).nan_to_num(0.0)


class TypeHead(nn.Module):
    """Logits of several labels that may hold at once."""

    thresholds: Tensor  # (C,) logits from which on a label is said

    def __init__(self, width: int, labels: int, hidden: int = 64) -> None:
        super().__init__()
        self.register_buffer("thresholds", torch.zeros(labels))
        self.layers = nn.Sequential(
            nn.BatchNorm1d(width, affine=False), nn.Dropout(0.3),
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(0.3), nn.Linear(hidden, labels),
        )  # fmt: skip

    def forward(self, vectors: Tensor) -> Tensor:
        """Return logits (B, C) of clip vectors (B, W)."""
        logits: Tensor = self.layers(vectors)
        return logits

    def loss(self, vectors: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy of labels (B, C) that are 1 or 0, each by itself."""
        return functional.binary_cross_entropy_with_logits(self(vectors), targets)

    @torch.no_grad()
    def settle(self, vectors: Tensor, targets: Tensor) -> None:
        """Set each label's threshold to the logit of best F1 on clips that taught nothing."""
        for label, (logits, truth) in enumerate(zip(self(vectors).T, targets.T, strict=True)):
            if truth.any():
                self.thresholds[label] = best_of_f1(logits, truth)


class FamilyHead(nn.Module):
    """A direction of its own for each family; a clip of none of them points elsewhere.

    Generators that are registered later are compared in what is there before any family was
    learned: what tells families apart loses what tells newcomers apart.

    Source: Kim et al., Proxy Anchor Loss, CVPR 2020; semantic proxies of visual prompts (VPTSP), of
    which a newcomer's proxy here is the mean of a few clips.
    """

    threshold: Tensor  # () cosine below which a clip belongs to no known family
    newcomer: Tensor  # () cosine below which it belongs to no registered generator

    def __init__(self, width: int, labels: int, dim: int = 64) -> None:
        super().__init__()
        self.normal = nn.BatchNorm1d(width, affine=False)
        self.project = nn.Sequential(nn.Dropout(0.3), nn.Linear(width, dim))
        self.proxies = nn.Parameter(torch.randn(labels, dim))
        self.register_buffer("threshold", torch.tensor(0.5))
        self.register_buffer("newcomer", torch.tensor(0.5))

    def describe(self, vectors: Tensor) -> Tensor:
        """Return unit vectors (B, W) of clip vectors (B, W), each number at its usual scale."""
        return functional.normalize(self.normal(vectors).clamp(-EXTREME, EXTREME), dim=-1)

    def embed(self, vectors: Tensor) -> Tensor:
        """Return unit vectors (B, E) of clip vectors (B, W)."""
        return functional.normalize(self.project(self.normal(vectors)), dim=-1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the cosine (B, C) of clip vectors (B, W) with each family's proxy."""
        return self.embed(vectors) @ functional.normalize(self.proxies, dim=-1).T

    def loss(self, vectors: Tensor, targets: Tensor) -> Tensor:
        """Return the proxy-anchor loss of families (B, C) that are 1 or 0.

        Genuine clips are of no family: they only push.
        """
        return proxy_anchor(self(vectors), targets)

    @torch.no_grad()
    def settle(self, vectors: Tensor, targets: Tensor) -> None:
        """Set the threshold that best tells clips of their nearest family from all others.

        Best is the most of the former above it less the share of the latter (Youden), on clips
        that taught nothing; the others are genuine, or nearer to a family that is not theirs.
        """
        nearest, which = self(vectors).max(dim=1)
        own = targets.gather(1, which[:, None])[:, 0] > 0
        self.threshold.copy_(best_threshold(nearest, own))


class LaunderingHead(nn.Module):
    """Two questions: was it passed through a generator, and if so, is the content generated too?

    Genuine content that was only re-rendered by a generator (laundered) counts as forged in the
    first stage; the second is asked of those alone.

    Source: the two-stage verdict on laundered images of polimi-ispl/synthetic-image-detection, on
    clip vectors in place of patches.
    """

    thresholds: Tensor  # (2,) logits from which on each question is answered yes

    def __init__(self, width: int, labels: int, hidden: int = 32) -> None:
        super().__init__()
        if labels != 2:
            raise ValueError(f"expected the labels laundered and synthetic, got {labels} labels")
        self.stages = TypeHead(width, 2, hidden)
        self.register_buffer("thresholds", torch.zeros(2))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the logits (B, 2) of both stages, of clip vectors (B, W)."""
        logits: Tensor = self.stages(vectors)
        return logits

    def loss(self, vectors: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy of both stages; targets (B, 2): laundered, synthetic, or none.

        The second stage learns from forged clips alone.
        """
        first, second = self(vectors).T
        forged = targets.amax(dim=1)
        each = functional.binary_cross_entropy_with_logits
        told = each(second, targets[:, 1], weight=forged, reduction="sum") / forged.sum().clamp(1)
        return each(first, forged) + told

    @torch.no_grad()
    def settle(self, vectors: Tensor, targets: Tensor) -> None:
        """Set both thresholds where they tell best (Youden) on clips that taught nothing."""
        first, second = self(vectors).T
        forged = targets.amax(dim=1) > 0
        self.thresholds[0] = best_threshold(first, forged)
        self.thresholds[1] = best_threshold(second[forged], targets[forged, 1] > 0)

    def classes(self, vectors: Tensor) -> Tensor:
        """Return 0 real, 1 laundered or 2 synthetic (B,); stage two counts only after stage one."""
        first, second = (self(vectors) >= self.thresholds).T
        return first.long() * (1 + second.long())


def best_of_f1(scores: Tensor, truth: Tensor) -> Tensor:
    """Return the score () from which on to say yes gives the best F1 of truth (N,), 1 or 0."""
    order = scores.argsort(descending=True)
    hits = truth[order].cumsum(dim=0)
    f1 = 2 * hits / (torch.arange(1, len(order) + 1) + truth.sum())
    return scores[order[f1.argmax()]]


def best_threshold(cosines: Tensor, own: Tensor) -> Tensor:
    """Return the cosine () above which most of one's own (N,) and least of the others lie."""
    order = cosines.argsort(descending=True)
    mine = own[order]
    gain = mine / mine.sum().clamp(min=1) - ~mine / (~mine).sum().clamp(min=1)
    return cosines[order[gain.cumsum(dim=0).argmax()]]


def proxy_anchor(cosines: Tensor, targets: Tensor) -> Tensor:
    """Return the proxy-anchor loss of cosines (B, C) with proxies; targets (B, C): 1 or 0.

    The mean over proxies that are drawn of log(1 + sum of exp(-32 (s - 0.1))) over their own
    clips, and over all proxies of log(1 + sum of exp(32 (s + 0.1))) over the others; never
    negative.

    Source: Kim et al., CVPR 2020, equation 4.
    """
    own = targets > 0
    pull = (-SHARPNESS * (cosines - MARGIN)).masked_fill(~own, -torch.inf)
    push = (SHARPNESS * (cosines + MARGIN)).masked_fill(own, -torch.inf)
    drawn = own.any(dim=0)
    pulled = _log_one_plus(pull)[drawn].sum() / drawn.sum().clamp(min=1)
    return pulled + _log_one_plus(push).mean()


def _log_one_plus(exponents: Tensor) -> Tensor:
    """Return log(1 + the sum of exp over rows) (C,) of exponents (B, C)."""
    return functional.pad(exponents, (0, 0, 0, 1)).logsumexp(dim=0)


def mean_proxy(embeddings: Tensor) -> Tensor:
    """Return the unit vector (E,) in the middle of unit vectors (N, E) of one generator."""
    return functional.normalize(embeddings.mean(dim=0), dim=0)
