"""The fusion transformer trained with HAMMER's losses.

Source: Shao et al., DGM4, CVPR 2023, with picture and sound in place of image and text. Since the
tokens are fixed, only the heads have momentum copies, not whole networks.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.transformer import CrossModalTransformer, FusionConfig
from fusion.zoo.intervals import IntervalHead, hull_of, interval_loss

SLOWNESS = 0.995  # momentum of the slow heads per update
LEAST_MOVE = 5  # steps: sound that is shifted by less may still be in sync
TRACKS = ("picture", "sound", "sync")  # that a clip may be forged in, several at once
TINY = 1e-4  # keeps the zero vectors of silence from a division by zero


class GroundedFusion(nn.Module):
    """The fusion transformer with one logit per step, and up to five auxiliary losses in training.

    - contrast: picture and sound of a clip are similar only if it is pristine and in sync.
    - matching: the fused clip is classified as such a pair or not; pristine pairs are repeated with
      the sound shifted.
    - grounding: every step is classified as forged or not in picture, sound and synchrony.
    - labels: so is the clip, in each of the three by itself.
    - interval: the first and last forged step are told by a head of their own.

    With all five weights at 0 it is the plain transformer.
    """

    def __init__(
        self,
        visual: Sequence[int],
        audio: Sequence[int],
        dim: int = 64,
        contrast: float = 0.1,
        matching: float = 1.0,
        grounding: float = 1.0,
        temperature: float = 0.07,
        soft: float = 0.4,
        layers: int = 1,
        labels: float = 0.0,
        interval: float = 0.0,
        queue: int = 0,
    ) -> None:
        """Make it for tokens at these indices of S.

        soft is the weight of the slow heads' targets, queue how many clips of earlier batches the
        contrast is with, besides those of the batch.
        """
        super().__init__()
        self.visual, self.audio = list(visual), list(audio)
        self.contrast, self.matching, self.grounding = contrast, matching, grounding
        self.temperature, self.soft = temperature, soft
        self.names = tuple(str(place) for place in (*visual, *audio))
        config = FusionConfig(cross_layers=layers, time_layers=layers)
        self.transformer = CrossModalTransformer(self.names, dim, config)
        self.judge, self.match, self.ground = (nn.Linear(dim, n) for n in (1, 1, 3))
        self.heads = nn.ModuleList(nn.Linear(dim * len(p), dim) for p in (visual, audio))
        self.slow = copy.deepcopy(self.heads).requires_grad_(False)
        self.labels, self.interval = labels, interval
        self.label = nn.Linear(dim, len(TRACKS)) if labels else None
        self.interval_head = IntervalHead(dim) if interval else None
        self.seen, self.heard = KeyQueue(dim, queue), KeyQueue(dim, queue)

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of tokens (B, L, S, D), NaN: missing."""
        tokens = streams["tokens"]
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        logits: Tensor = self.judge(self.fused(tokens, mask))[..., 0]
        return logits

    def fused(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return fused tokens (B, L, D); a stream with NaN at any step counts as missing."""
        present = ~tokens.isnan().any(dim=3).any(dim=1)  # (B, S)
        fused = tokens.new_zeros(*mask.shape, tokens.shape[-1])
        for kind in torch.unique(present, dim=0):
            rows = (present == kind).all(dim=1)
            inputs = {n: tokens[rows][:, :, int(n)] for n in self.names if kind[int(n)]}
            fused[rows] = self.transformer(inputs, mask[rows]).to(fused.dtype)
        return fused

    def learn(
        self, streams: Mapping[str, Tensor], targets: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return step logits (B, L), and the weighted sum () of the auxiliary losses."""
        tokens = streams["tokens"]
        fused = self.fused(tokens, mask)
        both = ~tokens[:, :, self.visual + self.audio].isnan().any(dim=3).any(dim=2).any(dim=1)
        paired = both & pristine(targets)
        more = fused.new_zeros(())
        if self.contrast and both.any():
            more = more + self.contrast * self._contrast_loss(
                tokens[both], mask[both], paired[both]
            )
        if self.matching:
            more = more + self.matching * self._matching_loss(tokens, fused, targets, mask, paired)
        if self.grounding:
            more = more + self.grounding * known_loss(self.ground(fused), targets, mask[..., None])
        if self.label is not None:
            worst = targets.masked_fill(~mask[..., None], -1).amax(dim=1)  # (B, 3)
            said = self.label(_mean(fused, mask))
            more = more + self.labels * known_loss(said, worst, torch.ones_like(worst))
        if self.interval_head is not None:
            truth, given = hull_of((targets == 1).any(dim=2), mask)
            more = more + self.interval * interval_loss(
                self.interval_head(fused, mask), truth, given
            )
        logits: Tensor = self.judge(fused)[..., 0]
        return logits, more

    def describe(self, streams: Mapping[str, Tensor]) -> dict[str, float]:
        """Return how likely each track of one clip is forged, and where, in shares of its steps.

        Of those heads that it was made with.
        """
        mask = torch.ones_like(streams["tokens"][..., 0, 0], dtype=torch.bool)
        fused = self.fused(streams["tokens"], mask)
        told: dict[str, float] = {}
        if self.label is not None:
            shares = self.label(_mean(fused, mask))[0].sigmoid().tolist()
            told |= {f"{n} forged": share for n, share in zip(TRACKS, shares, strict=True)}
        if self.interval_head is not None:
            start, end = self.interval_head(fused, mask)[0].tolist()
            told |= {"forged from": start, "forged to": end}
        return told

    def _contrast_loss(self, tokens: Tensor, mask: Tensor, paired: Tensor) -> Tensor:
        follow(self.slow, self.heads)
        means = [
            _mean(tokens[:, :, places].flatten(2), mask) for places in (self.visual, self.audio)
        ]
        fast, slow = (
            [
                functional.normalize(head(m), dim=1, eps=TINY)
                for head, m in zip(h, means, strict=True)
            ]
            for h in (self.heads, self.slow)
        )
        keys = [
            torch.cat([k, q.kept()]) for k, q in zip(slow, (self.seen, self.heard), strict=True)
        ]
        pairs, own = torch.diag(paired.float()), torch.eye(len(paired), device=tokens.device)
        pairs, own = (
            functional.pad(truth, (0, len(keys[0]) - len(paired))) for truth in (pairs, own)
        )
        parts = [
            contrastive(fast[one], keys[other], slow[one], truth, self.temperature, self.soft)
            for one, other, truth in ((0, 1, pairs), (1, 0, pairs), (0, 0, own), (1, 1, own))
        ]
        for queue, fresh in zip((self.seen, self.heard), slow, strict=True):
            queue.push(fresh)
        return torch.stack(parts).mean()

    def _matching_loss(
        self, tokens: Tensor, fused: Tensor, targets: Tensor, mask: Tensor, paired: Tensor
    ) -> Tensor:
        logits = self.match(_mean(fused, mask))[:, 0]
        worst = targets.amax(dim=(1, 2))
        if paired.any() and tokens.shape[1] > 2 * LEAST_MOVE:
            again = self.fused(with_sound_shifted(tokens[paired], self.audio), mask[paired])
            logits = torch.cat([logits, self.match(_mean(again, mask[paired]))[:, 0]])
            worst = torch.cat([worst, torch.ones_like(worst[paired])])
        return known_loss(logits, worst, torch.ones_like(worst))


class KeyQueue(nn.Module):
    """The embeddings of the last clips, which the contrast takes as further keys.

    They are no pair of any clip of the batch. Not kept with the weights.
    """

    keys: Tensor  # (size, D) the newest first
    count: Tensor  # () how many of them there are yet

    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(size, dim), persistent=False)
        self.register_buffer("count", torch.zeros((), dtype=torch.long), persistent=False)

    def kept(self) -> Tensor:
        """Return the keys (N, D) that there are, the newest first."""
        return self.keys[: int(self.count)]

    @torch.no_grad()
    def push(self, fresh: Tensor) -> None:
        """Put keys (B, D) before the others, and drop the oldest beyond the queue's size."""
        now = torch.cat([fresh, self.kept()])[: len(self.keys)]
        self.keys[: len(now)] = now
        self.count.fill_(len(now))


def pristine(targets: Tensor) -> Tensor:
    """Return whether clips (B,) of targets (B, L, 3) are real and labelled as in sync."""
    return (targets != 1).all(dim=2).all(dim=1) & (targets == 0).any(dim=1).all(dim=1)


def with_sound_shifted(tokens: Tensor, audio: Sequence[int]) -> Tensor:
    """Return tokens (B, L, S, D) whose sound is rotated in time by a random number of steps."""
    length = tokens.shape[1]
    shifted = tokens.clone()
    for clip in shifted:
        move = int(torch.randint(LEAST_MOVE, length - LEAST_MOVE + 1, ()))
        clip[:, audio] = clip[:, audio].roll(move, dims=0)
    return shifted


def contrastive(
    query: Tensor, keys: Tensor, slow: Tensor, truth: Tensor, temperature: float, soft: float
) -> Tensor:
    """Return the contrastive loss () in nats: the mean cross-entropy of each query's true keys.

    Args:
        query: (B, D) unit vectors.
        keys: (M, D) unit vectors.
        slow: (B, D) the slow head's embeddings of the queries, which give the soft targets.
        truth: (B, M); a row of zeros has no true key and counts by its soft targets alone.
        temperature: of the softmax.
        soft: weight of the soft targets, from 0 to 1.
    """
    with torch.no_grad():
        goal = soft * (slow @ keys.T / temperature).softmax(dim=1) + (1 - soft) * truth
    return -(goal * (query @ keys.T / temperature).log_softmax(dim=1)).sum(dim=1).mean()


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, keep: float = SLOWNESS) -> None:
    """Update the slow weights as an exponential moving average of the fast ones, in place."""
    for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
        old.lerp_(new, 1 - keep)


def known_loss(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Return the mean binary cross-entropy () over labelled targets (not -1); 0 without any."""
    labelled = (targets >= 0).float() * mask
    loss = functional.binary_cross_entropy_with_logits(
        logits.float(), targets.float().clamp(min=0), reduction="none"
    )
    return (labelled * loss).sum() / labelled.sum().clamp(min=1)


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    """Return the mean (B, D) of x (B, L, D) over the steps in mask (B, L)."""
    weight = mask[..., None].to(x.dtype)
    return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
