"""Clip vectors, some of unknown origin, in; families, known and found, out: open-world attribution.

Clips that nobody labelled teach too: each is drawn to what it is most like, and classes that no
label has are there for generators that no family has.

Source: Sun et al., Contrastive Pseudo Learning for Open-World DeepFake Attribution (CPL), ICCV
2023, with the parts of a clip vector in place of the parts of a face.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.heads.closed import FamilyHead

SHARPNESS = 10.0  # of the softmax over cosines
EASE = 0.2  # added to the true logit: known classes are not to be fitted too closely
UNLABELLED = -1


class OpenFamilyHead(FamilyHead):
    """A head of families that also learns from forged clips of no known family.

    Besides the families there is a class for genuine clips and some for whatever else there is.
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
        """Build it for clip vectors of a width.

        Args:
            width: W.
            labels: families, C.
            dim: E, numbers of an embedding.
            novel: classes without a label.
            part: numbers of a part of a clip vector: of what one expert says.
            hidden: share of the labels that is hidden from each batch.
            likeness: weight of agreeing with a clip that is alike.
            pseudo: weight of agreeing with what the head itself says.
            spread: weight of the entropy that keeps classes from dying out.
        """
        super().__init__(width, labels, dim)
        if width < part:
            raise ValueError(f"part: expected at most {width} numbers, got {part}")
        self.others = nn.Parameter(torch.randn(1 + novel, dim))  # genuine, then without a label
        self.part, self.hidden = part, hidden
        self.weights = likeness, pseudo, spread

    def forward(self, vectors: Tensor) -> Tensor:
        """Return half of how much nearer (B, C), -1 to 1, a family is than whatever is not one.

        Differences of cosines: a clip near to a family, and nearer to genuine ones, is of none.
        """
        embedded = self.embed(vectors)
        near, other = (
            embedded @ functional.normalize(proxies, dim=-1).T
            for proxies in (self.proxies, self.others)
        )
        return (near - other.amax(dim=1, keepdim=True)) / 2

    def loss(self, vectors: Tensor, targets: Tensor) -> Tensor:
        """Return CPL's loss of families (B, C) that are 1 or 0; NaN: a stranger."""
        classes = classes_of(targets)
        hide = torch.rand(len(classes), device=classes.device) < self.hidden
        return self.open_loss(vectors, classes.masked_fill(hide, UNLABELLED))

    def open_loss(self, vectors: Tensor, classes: Tensor) -> Tensor:
        """Return CPL's loss of classes (B,), -1 where there is none."""
        likeness, pseudo, spread = self.weights
        scaled = self.normal(vectors)
        embedded = functional.normalize(self.project(scaled), dim=-1)
        logits = self._logits(embedded)
        said = logits.softmax(dim=1)
        partner, accepted = partners(embedded.detach(), self._parts(scaled), classes)
        return (
            eased_cross_entropy(logits, classes)
            + likeness * agreement(said, said[partner])
            + pseudo * pseudo_label_loss(logits, accepted)
            - spread * entropy(said.mean(dim=0))
        )

    def clusters(self, vectors: Tensor) -> Tensor:
        """Return the class (B,) that is nearest: of families, genuine, then those without label."""
        return self._logits(self.embed(vectors)).argmax(dim=1)

    def _logits(self, embedded: Tensor) -> Tensor:
        proxies = functional.normalize(torch.cat([self.proxies, self.others]), dim=-1)
        return SHARPNESS * embedded @ proxies.T

    def _parts(self, scaled: Tensor) -> Tensor:
        """Return the parts (B, P, part) of clip vectors (B, W); what is left over is in none."""
        count = scaled.shape[1] // self.part
        return scaled[:, : count * self.part].detach().reshape(-1, count, self.part)


def classes_of(targets: Tensor) -> Tensor:
    """Return the class (B,) of targets (B, C): a family, C for genuine clips, -1 for strangers."""
    families = targets.shape[1]
    classes = targets.nan_to_num(0.0).argmax(dim=1)
    classes = classes.masked_fill((targets == 0).all(dim=1), families)
    return classes.masked_fill(targets.isnan().any(dim=1), UNLABELLED)


def eased_cross_entropy(logits: Tensor, classes: Tensor, ease: float = EASE) -> Tensor:
    """Return the mean cross-entropy () of logits (B, K) where there is a class, 0 if nowhere.

    The true logit is raised first, so what is right already teaches less.
    """
    known = classes != UNLABELLED
    truth = functional.one_hot(classes.clamp(min=0), logits.shape[1])
    loss = functional.cross_entropy(logits + ease * truth, classes.clamp(min=0), reduction="none")
    return (loss * known).sum() / known.sum().clamp(min=1)


@torch.no_grad()
def partners(embedded: Tensor, parts: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return whom each clip is to agree with (B,), and whether that was put to a vote and won (B,).

    A clip with a class gets another one of it by chance. One without gets its nearest, if that is
    so by parts as well: no more than one other may be nearer to the partner. All others get
    themselves.

    Args:
        embedded: (B, E) unit vectors.
        parts: (B, P, D); a clip's parts count by their length.
        classes: (B,), -1: none.
    """
    alone = torch.eye(len(embedded), dtype=torch.bool, device=embedded.device)
    same = (classes[:, None] == classes) & (classes != UNLABELLED)[:, None] & ~alone
    lonely = ~same.any(dim=1, keepdim=True)
    mate = torch.multinomial((same | (alone & lonely)).float(), 1)[:, 0]
    nearest = (embedded @ embedded.T).masked_fill(alone, -torch.inf).argmax(dim=1)
    alike = alike_by_parts(parts).masked_fill(alone, -torch.inf)
    rank = min(2, len(embedded))
    bar = alike.topk(rank, dim=1).values[:, -1]  # what the partner's second best reaches
    won = alike.gather(1, nearest[:, None])[:, 0] >= bar[nearest]
    accepted = won & (classes == UNLABELLED)
    return torch.where(accepted, nearest, mate), accepted


def alike_by_parts(parts: Tensor) -> Tensor:
    """Return how alike clips are (B, B) by parts (B, P, D): their cosines, weighed by the row's.

    A part weighs as much as it is long; a row's weights are a unit vector.
    """
    weights = functional.normalize(parts.norm(dim=-1), dim=-1)
    units = functional.normalize(parts, dim=-1)
    cosines = torch.einsum("ipd,jpd->ijp", units, units)
    return (cosines * weights[:, None]).sum(dim=-1)


def agreement(said: Tensor, partner: Tensor) -> Tensor:
    """Return the mean of -log of the chance () that two draw the same class, of (B, K) each."""
    return -(said * partner).sum(dim=1).clamp(min=1e-8).log().mean()


def pseudo_label_loss(logits: Tensor, accepted: Tensor) -> Tensor:
    """Return the cross-entropy () of logits (B, K) with soft labels that are drawn from them.

    Clips (B,) that were not accepted count nothing, the others by how sure the head is.
    """
    with torch.no_grad():
        drawn = functional.gumbel_softmax(logits, tau=1.0)
        weight = logits.softmax(dim=1).amax(dim=1) * accepted
    return (weight * functional.cross_entropy(logits, drawn, reduction="none")).mean()


def entropy(chances: Tensor) -> Tensor:
    """Return the entropy () of chances (K,) in nats: the log of K at most, where all are alike."""
    return -(chances * chances.clamp(min=1e-8).log()).sum()
