"""Open-world attribution: families learned from labelled clips and from clips of unknown origin.

Unlabelled clips take part in training: each is drawn to the clip that it is most like, and classes
without a label are reserved for generators outside the labelled families.

Source: Sun et al., Contrastive Pseudo Learning for Open-World DeepFake Attribution (CPL), ICCV
2023, with the parts of a clip vector in place of the parts of a face.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.heads.closed import FamilyHead

SHARPNESS = 10.0  # of the softmax over cosines (inverse temperature)
EASE = 0.2  # added to the true logit, so that labelled classes are not fitted too closely
UNLABELLED = -1


class OpenFamilyHead(FamilyHead):
    """A head of families that also learns from forged clips of unlabelled origin.

    Besides the families there is a class for real clips, and there are `novel` unlabelled classes.
    """

    def __init__(
        self,
        width: int,
        labels: int,
        dim: int = 64,
        novel: int = 8,
        part: int = 64,
        hidden: float = 0.2,
        likeness: float = 0.5,
        pseudo: float = 0.5,
        spread: float = 1.0,
    ) -> None:
        """Make an untrained head for clip vectors of `width` numbers.

        Args:
            width: W, of a clip vector.
            labels: C, number of families.
            dim: E, width of an embedding.
            novel: number of classes without a label.
            part: width of a part of a clip vector, which belongs to one expert.
            hidden: share of the labels that is hidden in each batch.
            likeness: weight of the agreement with a similar clip.
            pseudo: weight of the pseudo-label loss.
            spread: weight of the entropy that keeps classes from dying out.

        Raises:
            ValueError: `part` is wider than a clip vector.
        """
        super().__init__(width, labels, dim)
        if width < part:
            raise ValueError(f"part: expected at most {width} numbers, got {part}")
        self.others = nn.Parameter(torch.randn(1 + novel, dim))  # genuine, then without a label
        self.part, self.hidden = part, hidden
        self.weights = likeness, pseudo, spread

    def forward(self, vectors: Tensor) -> Tensor:
        """Return family scores (B, C) in [-1, 1] of clip vectors (B, W).

        Half the difference of the cosine with the family's proxy and that with the nearest other
        class: a clip that is near to a family but nearer to real clips belongs to none.
        """
        embedded = self.embed(vectors)
        near, other = (
            embedded @ functional.normalize(proxies, dim=-1).T
            for proxies in (self.proxies, self.others)
        )
        return (near - other.amax(dim=1, keepdim=True)) / 2

    def loss(self, vectors: Tensor, targets: Tensor) -> Tensor:
        """Return CPL's loss () of families (B, C), 1 or 0; NaN: of unlabelled origin."""
        classes = classes_of(targets)
        hide = torch.rand(len(classes), device=classes.device) < self.hidden
        return self.open_loss(vectors, classes.masked_fill(hide, UNLABELLED))

    def open_loss(self, vectors: Tensor, classes: Tensor) -> Tensor:
        """Return CPL's loss () of classes (B,); -1: unlabelled."""
        likeness, pseudo, spread = self.weights
        scaled = self.normal(vectors)
        embedded = functional.normalize(self.project(scaled), dim=-1)
        logits = self._logits(embedded)
        probs = logits.softmax(dim=1)
        partner, accepted = partners(embedded.detach(), self._parts(scaled), classes)
        return (
            eased_cross_entropy(logits, classes)
            + likeness * agreement(probs, probs[partner])
            + pseudo * pseudo_label_loss(logits, accepted)
            - spread * entropy(probs.mean(dim=0))
        )

    def clusters(self, vectors: Tensor) -> Tensor:
        """Return the nearest class (B,): families come first, then real, then the unlabelled."""
        return self._logits(self.embed(vectors)).argmax(dim=1)

    def _logits(self, embedded: Tensor) -> Tensor:
        proxies = functional.normalize(torch.cat([self.proxies, self.others]), dim=-1)
        return SHARPNESS * embedded @ proxies.T

    def _parts(self, scaled: Tensor) -> Tensor:
        """Return the parts (B, P, part) of clip vectors (B, W); a remainder is dropped."""
        count = scaled.shape[1] // self.part
        return scaled[:, : count * self.part].detach().reshape(-1, count, self.part)


def classes_of(targets: Tensor) -> Tensor:
    """Return the class (B,) of targets (B, C): a family, C for real clips, -1 if unlabelled."""
    families = targets.shape[1]
    classes = targets.nan_to_num(0.0).argmax(dim=1)
    classes = classes.masked_fill((targets == 0).all(dim=1), families)
    return classes.masked_fill(targets.isnan().any(dim=1), UNLABELLED)


def eased_cross_entropy(logits: Tensor, classes: Tensor, ease: float = EASE) -> Tensor:
    """Return the mean cross-entropy () of logits (B, K) over labelled clips; 0 if there are none.

    The true logit is raised first, so that correct predictions count less.
    """
    labelled = classes != UNLABELLED
    truth = functional.one_hot(classes.clamp(min=0), logits.shape[1])
    loss = functional.cross_entropy(logits + ease * truth, classes.clamp(min=0), reduction="none")
    return (loss * labelled).sum() / labelled.sum().clamp(min=1)


@torch.no_grad()
def partners(embedded: Tensor, parts: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return each clip's partner (B,), and whether an unlabelled clip's partner was accepted (B,).

    A labelled clip gets a random other clip of its class. An unlabelled one gets its nearest clip
    if the parts confirm it: at most one other clip may be nearer to the partner. All others are
    their own partners.

    Args:
        embedded: (B, E) unit vectors.
        parts: (B, P, D), weighted by their norms.
        classes: (B,), -1: unlabelled.
    """
    alone = torch.eye(len(embedded), dtype=torch.bool, device=embedded.device)
    same = (classes[:, None] == classes) & (classes != UNLABELLED)[:, None] & ~alone
    lonely = ~same.any(dim=1, keepdim=True)
    mate = torch.multinomial((same | (alone & lonely)).float(), 1)[:, 0]
    nearest = (embedded @ embedded.T).masked_fill(alone, -torch.inf).argmax(dim=1)
    alike = alike_by_parts(parts).masked_fill(alone, -torch.inf)
    rank = min(2, len(embedded))
    second_best = alike.topk(rank, dim=1).values[:, -1]
    confirmed = alike.gather(1, nearest[:, None])[:, 0] >= second_best[nearest]
    accepted = confirmed & (classes == UNLABELLED)
    return torch.where(accepted, nearest, mate), accepted


def alike_by_parts(parts: Tensor) -> Tensor:
    """Return the similarity (B, B) of clips: the weighted sum of the cosines of parts (B, P, D).

    A part's weight is its norm in the row's clip; a row's weights form a unit vector.
    """
    weights = functional.normalize(parts.norm(dim=-1), dim=-1)
    units = functional.normalize(parts, dim=-1)
    cosines = torch.einsum("ipd,jpd->ijp", units, units)
    return (cosines * weights[:, None]).sum(dim=-1)


def agreement(said: Tensor, partner: Tensor) -> Tensor:
    """Return the mean () of -log P(both draw the same class), by probabilities (B, K) of each."""
    return -(said * partner).sum(dim=1).clamp(min=1e-8).log().mean()


def pseudo_label_loss(logits: Tensor, accepted: Tensor) -> Tensor:
    """Return the cross-entropy () of logits (B, K) with soft labels sampled from them.

    Clips are weighted by the head's confidence; those not in accepted (B,) count nothing.
    """
    with torch.no_grad():
        drawn = functional.gumbel_softmax(logits, tau=1.0)
        weight = logits.softmax(dim=1).amax(dim=1) * accepted
    return (weight * functional.cross_entropy(logits, drawn, reduction="none")).mean()


def entropy(chances: Tensor) -> Tensor:
    """Return the entropy () of probabilities (K,) in nats: at most log K, where all are equal."""
    return -(chances * chances.clamp(min=1e-8).log()).sum()
