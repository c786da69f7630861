"""Tokens of picture and sound in, step logits out: a transformer that learns by HAMMER's losses.

Source: Shao et al., DGM4, CVPR 2023, with picture and sound in place of image and text. Heads that
follow slowly stand in place of whole slow networks, since the tokens stay as they are, and the
other clips of the batch in place of a queue. There is no head for intervals: steps are judged.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.transformer import CrossModalTransformer, FusionConfig

SLOWNESS = 0.995  # of the heads that follow, an update
LEAST_MOVE = 5  # steps: sound that is moved by less may still fit
TINY = 1e-4  # keeps the vectors of silence from being divided by zero


class GroundedFusion(nn.Module):
    """The fusion transformer with a logit a step, and up to three further losses while it learns.

    - contrast: picture and sound are to fit where the clip is pristine and synchronous, alone.
    - matching: the fused clip tells whether it is such a pair; pristine pairs come once more with
      the sound moved.
    - grounding: every step tells whether picture, sound or their agreement is forged in it.

    With all three at 0 it is the plain transformer.
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
    ) -> None:
        """Build it for tokens in these places; soft: share of the slow heads' word in contrast."""
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

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Return step logits (B, L) of tokens (B, L, S, D), NaN: missing."""
        tokens = streams["tokens"]
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        logits: Tensor = self.judge(self.fused(tokens, mask))[..., 0]
        return logits

    def fused(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return fused tokens (B, L, D); a stream that is not there at any step is missing."""
        there = ~tokens.isnan().any(dim=3).any(dim=1)  # (B, S)
        made = tokens.new_zeros(*mask.shape, tokens.shape[-1])
        for kind in torch.unique(there, dim=0):
            rows = (there == kind).all(dim=1)
            given = {n: tokens[rows][:, :, int(n)] for n in self.names if kind[int(n)]}
            made[rows] = self.transformer(given, mask[rows]).to(made.dtype)
        return made

    def learn(
        self, streams: Mapping[str, Tensor], targets: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return step logits (B, L), and the sum of the further losses that have a weight."""
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
        logits: Tensor = self.judge(fused)[..., 0]
        return logits, more

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
        pairs, own = torch.diag(paired.float()), torch.eye(len(paired), device=tokens.device)
        parts = [
            contrastive(fast[one], slow[other], slow[one], truth, self.temperature, self.soft)
            for one, other, truth in ((0, 1, pairs), (1, 0, pairs), (0, 0, own), (1, 1, own))
        ]
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


def pristine(targets: Tensor) -> Tensor:
    """Return whether clips (B,) of targets (B, L, 3) are genuine and known to be in sync."""
    return (targets != 1).all(dim=2).all(dim=1) & (targets == 0).any(dim=1).all(dim=1)


def with_sound_shifted(tokens: Tensor, audio: Sequence[int]) -> Tensor:
    """Return tokens (B, L, S, D) whose sound comes from other steps: what runs out, begins anew."""
    length = tokens.shape[1]
    made = tokens.clone()
    for clip in made:
        move = int(torch.randint(LEAST_MOVE, length - LEAST_MOVE + 1, ()))
        clip[:, audio] = clip[:, audio].roll(move, dims=0)
    return made


def contrastive(
    query: Tensor, keys: Tensor, slow: Tensor, truth: Tensor, temperature: float, soft: float
) -> Tensor:
    """Return the cross-entropy of picking the true keys among all, in nats, the mean over rows.

    Args:
        query: (B, D) unit vectors.
        keys: (M, D) unit vectors.
        slow: (B, D) what the slow head makes of the queries; its pick is a share of the truth.
        truth: (B, M); a row of zeros has no true key and counts by its soft share alone.
        temperature: of the softmax.
        soft: the share, from 0 to 1.
    """
    with torch.no_grad():
        goal = soft * (slow @ keys.T / temperature).softmax(dim=1) + (1 - soft) * truth
    return -(goal * (query @ keys.T / temperature).log_softmax(dim=1)).sum(dim=1).mean()


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, keep: float = SLOWNESS) -> None:
    """Move the weights of one module a little towards those of another."""
    for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
        old.lerp_(new, 1 - keep)


def known_loss(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Return the mean binary cross-entropy where targets are known (not -1), 0 if none is."""
    known = (targets >= 0).float() * mask
    loss = functional.binary_cross_entropy_with_logits(
        logits.float(), targets.float().clamp(min=0), reduction="none"
    )
    return (known * loss).sum() / known.sum().clamp(min=1)


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    """Return the mean (B, D) of x (B, L, D) over the steps in mask (B, L)."""
    weight = mask[..., None].to(x.dtype)
    return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
