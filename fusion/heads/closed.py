"""Closed-set attribution heads: the type and family of a forgery from one vector per clip.

The vector holds mean and standard deviation of each expert's tokens, and mean and peak of its
opinions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SHARPNESS = 32.0  # alpha of the proxy-anchor loss
MARGIN = 0.1  # delta of the proxy-anchor loss: a cosine
EXTREME = 5.0  # standard deviations at which features are clipped: none decides alone
PEAK = 25  # steps: an expert's highest second


def clip_vector(tokens: Tensor, opinions: Tensor) -> Tensor:
    """Return one vector (2 * S * D + 2 * K,) of a clip's tokens (T, S, D) and opinions (T, K).

    Means and standard deviations of the tokens over time, then means and peaks of the opinions. An
    expert without input (NaN) gives zeros.
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
    """A multi-label classifier of clip vectors."""

    thresholds: Tensor  # (C,) logits from which on a label is assigned

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
        """Return the mean binary cross-entropy () of labels (B, C), 1 or 0."""
        return functional.binary_cross_entropy_with_logits(self(vectors), targets)

    @torch.no_grad()
    def settle(self, vectors: Tensor, targets: Tensor) -> None:
        """Set each label's threshold to the logit of best F1 on held-out clips."""
        for label, (logits, truth) in enumerate(zip(self(vectors).T, targets.T, strict=True)):
            if truth.any():
                self.thresholds[label] = best_of_f1(logits, truth)


class FamilyHead(nn.Module):
    """A proxy (unit vector) for each family; a clip far from all proxies belongs to none.

    Generators that are registered later are compared by the features before the projection
    (`describe`): the projection separates families and loses what separates new generators.

    Source: Kim et al., Proxy Anchor Loss, CVPR 2020; semantic proxies of visual prompts (VPTSP), of
    which a registered generator's proxy here is the mean of a few clips.
    """

    threshold: Tensor  # () cosine below which a clip belongs to no trained family
    newcomer: Tensor  # () cosine below which it belongs to no registered generator

    def __init__(self, width: int, labels: int, dim: int = 64) -> None:
        super().__init__()
        self.normal = nn.BatchNorm1d(width, affine=False)
        self.project = nn.Sequential(nn.Dropout(0.3), nn.Linear(width, dim))
        self.proxies = nn.Parameter(torch.randn(labels, dim))
        self.register_buffer("threshold", torch.tensor(0.5))
        self.register_buffer("newcomer", torch.tensor(0.5))

    def describe(self, vectors: Tensor) -> Tensor:
        """Return unit vectors (B, W) of clip vectors (B, W), each feature standardised."""
        return functional.normalize(self.normal(vectors).clamp(-EXTREME, EXTREME), dim=-1)

    def embed(self, vectors: Tensor) -> Tensor:
        """Return the embeddings (B, E), unit vectors, of clip vectors (B, W)."""
        return functional.normalize(self.project(self.normal(vectors)), dim=-1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the cosines (B, C) of the embeddings of clip vectors (B, W) with the proxies."""
        return self.embed(vectors) @ functional.normalize(self.proxies, dim=-1).T

    def loss(self, vectors: Tensor, targets: Tensor) -> Tensor:
        """Return the proxy-anchor loss () of families (B, C), 1 or 0.

        Real clips belong to no family: they are negatives of every proxy.
        """
        return proxy_anchor(self(vectors), targets)

    @torch.no_grad()
    def settle(self, vectors: Tensor, targets: Tensor) -> None:
        """Set the threshold that best separates clips of their nearest family from all others.

        It maximises Youden's J on held-out clips; the others are real, or nearer to a family that
        is not theirs.
        """
        nearest, which = self(vectors).max(dim=1)
        own = targets.gather(1, which[:, None])[:, 0] > 0
        self.threshold.copy_(best_threshold(nearest, own))


class LaunderingHead(nn.Module):
    """Two stages: did a generator render the clip, and if so, is its content synthetic too?

    Real content that a generator only re-rendered (laundered) counts as forged in the first stage;
    the second stage applies to forged clips alone.

    Source: the two-stage verdict on laundered images of polimi-ispl/synthetic-image-detection, on
    clip vectors in place of patches.
    """

    thresholds: Tensor  # (2,) logits from which on each stage is positive

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
        """Return the cross-entropy () of both stages for targets (B, 2).

        The targets are laundered and synthetic, at most one of which is 1. The second stage learns
        from forged clips alone.
        """
        first, second = self(vectors).T
        forged = targets.amax(dim=1)
        each = functional.binary_cross_entropy_with_logits
        summed = each(second, targets[:, 1], weight=forged, reduction="sum")
        return each(first, forged) + summed / forged.sum().clamp(1)

    @torch.no_grad()
    def settle(self, vectors: Tensor, targets: Tensor) -> None:
        """Set both thresholds to maximise Youden's J on held-out clips."""
        first, second = self(vectors).T
        forged = targets.amax(dim=1) > 0
        self.thresholds[0] = best_threshold(first, forged)
        self.thresholds[1] = best_threshold(second[forged], targets[forged, 1] > 0)

    def classes(self, vectors: Tensor) -> Tensor:
        """Return classes (B,): 0 real, 1 laundered, 2 synthetic.

        Clips that are negative in the first stage are real whatever the second says.
        """
        first, second = (self(vectors) >= self.thresholds).T
        return first.long() * (1 + second.long())


def best_of_f1(scores: Tensor, truth: Tensor) -> Tensor:
    """Return the threshold () on scores (N,) with the best F1 for truth (N,), 1 or 0."""
    order = scores.argsort(descending=True)
    hits = truth[order].cumsum(dim=0)
    f1 = 2 * hits / (torch.arange(1, len(order) + 1) + truth.sum())
    return scores[order[f1.argmax()]]


def best_threshold(cosines: Tensor, own: Tensor) -> Tensor:
    """Return the threshold () on cosines (N,) of highest Youden's J; own (N,) marks positives."""
    order = cosines.argsort(descending=True)
    positive = own[order]
    gain = positive / positive.sum().clamp(min=1) - ~positive / (~positive).sum().clamp(min=1)
    return cosines[order[gain.cumsum(dim=0).argmax()]]


def proxy_anchor(cosines: Tensor, targets: Tensor) -> Tensor:
    """Return the proxy-anchor loss () of cosines (B, C) with proxies; targets (B, C): 1 or 0.

    The mean over proxies with positives of log(1 + Σ exp(-32 (s - 0.1))) over the positives, plus
    the mean over all proxies of log(1 + Σ exp(32 (s + 0.1))) over the negatives; never negative.

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
    """Return the proxy (E,) of a generator: the normalised mean of its embeddings (N, E)."""
    return functional.normalize(embeddings.mean(dim=0), dim=0)
