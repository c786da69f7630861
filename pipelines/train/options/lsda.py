"""Training on latents that are spread within and between the forgeries of several generators.

Source: Yan et al., Transcending Forgery Specificity with Latent Space Augmentation for
Generalizable Deepfake Detection, CVPR 2024. Latents here are an expert's mean tokens of a clip.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.detection.pooling import clip_means
from pipelines.train.batches import Batch, Views
from pipelines.train.clips import TrainClip
from pipelines.train.expert_probe import ExpertProbe
from pipelines.train.options.method import (
    Kinds,
    Method,
    MethodConfig,
    drawn_partners,
    inner_products,
)

LIKE = 1000.0  # how much likelier a latent is mixed with one of its own original than with others


@dataclass(frozen=True)
class LsdaConfig(MethodConfig):
    """Teachers of single generators, whose augmented latents the expert is to reach."""

    methods: int = 4  # generators with a teacher each, frequent ones first; the rest share one
    companions: int = 4  # further clips of its original, and as long, that join a clip in a batch
    binary: float = 0.5  # weight of the loss of the steps
    # Words in the names of generators that put another person there; all others keep the person.
    swaps: tuple[str, ...] = ("swap", "replaced", "converted", "donor")

    def build(self, probe: ExpertProbe, clips: Sequence[TrainClip], modality: str) -> Method:
        """Return the method around an expert."""
        return Lsda(probe, modality, self, clips)

    def views(self, clips: Sequence[TrainClip]) -> Views:
        """Return each clip with others of its original, of a generator each."""
        family: defaultdict[Path, list[int]] = defaultdict(list)
        for place, clip in enumerate(clips):
            family[origin_of(clip)].append(place)

        def rows(place: int) -> list[tuple[int, TrainClip]]:
            lead, chosen = clips[place], {clips[place].sample.method: place}
            for other in family[origin_of(lead)]:
                if (clips[other].start, clips[other].steps) == (lead.start, lead.steps):
                    chosen.setdefault(clips[other].sample.method, other)
            return [(i, clips[i]) for i in list(chosen.values())[: self.companions + 1]]

        return rows


def origin_of(clip: TrainClip) -> Path:
    """Return the genuine clip that a clip was made from, or its own path."""
    return clip.sample.pair or clip.sample.path


class Lsda(Method):
    """An expert that learns the latents of teachers, which are left behind after training."""

    origins: Tensor  # (N,) int64, equal for clips of one original
    keeps: Tensor  # (K,) 1 where a generator keeps the person, else -1

    def __init__(
        self, probe: ExpertProbe, modality: str, config: LsdaConfig, clips: Sequence[TrainClip]
    ) -> None:
        super().__init__(probe, modality)
        self.binary = config.binary
        self.kinds = Kinds(clips, modality, config.methods)
        # the first learns genuine clips, and tells persons apart
        self.teachers = nn.ModuleList(copy.deepcopy(probe) for _ in range(self.kinds.count))
        width = probe.dim
        self.domain = nn.Linear(width, self.kinds.count)
        self.fuse = nn.Sequential(
            nn.Linear(2 * width, width), nn.LeakyReLU(), nn.Linear(width, width), nn.LeakyReLU(),
            nn.Linear(width, width),
        )  # fmt: skip
        places = {origin: i for i, origin in enumerate(dict.fromkeys(map(origin_of, clips)))}
        origins = torch.tensor([places[origin_of(clip)] for clip in clips])
        self.register_buffer("origins", origins, persistent=False)
        kept = [not any(word in name for word in config.swaps) for name in self.kinds.names]
        signs = [1.0 if keep else -1.0 for keep in (True, *kept, True)]
        self.register_buffer("keeps", torch.tensor(signs), persistent=False)

    def loss(self, batch: Batch) -> Tensor:
        """Return the sum of the losses of domains, steps, latents and persons."""
        kinds, origins = self.kinds(batch, self.forged(batch)), self.origins[batch.clips]
        tokens = self.probe.tokens(batch.streams)
        student = clip_means(tokens.float(), batch.mask)
        persons = self._latents(0, batch)
        taught = persons.clone()
        for kind in kinds.unique().tolist():
            if kind:
                taught[kinds == kind] = self._latents(kind, batch.rows(kinds == kind))
        wanted = self._wanted(taught.detach(), kinds, origins)
        return (
            functional.cross_entropy(self.domain(taught).float(), kinds)
            + self.binary * self.step_loss(self.probe.linear(tokens), batch)
            + (student - wanted).square().mean()
            + person_loss(persons, kinds, origins, self.keeps)
        )

    def _latents(self, kind: int, batch: Batch) -> Tensor:
        """Return the latents (B, D) by the teacher of a generator."""
        tokens = self.teachers[kind].tokens(batch.streams)  # type: ignore[operator]
        return clip_means(tokens.float(), batch.mask)

    def _wanted(self, taught: Tensor, kinds: Tensor, origins: Tensor) -> Tensor:
        """Return what the expert's latents (B, D) are to be: of fakes, augmented ones."""
        forged = kinds > 0
        if not forged.any():
            return taught
        latents, kinds = taught[forged], kinds[forged]
        spread = latents.clone()
        for kind in kinds.unique().tolist():  # type: ignore[no-untyped-call]
            spread[kinds == kind] = within_domain(latents[kinds == kind])
        shape = torch.empty(len(latents), 1, device=latents.device).uniform_(0.5, 2.0)
        share = torch.distributions.Beta(shape, shape).sample()
        mixed = mixed_with(latents, partners(kinds, origins[forged]), share)
        fused = self.fuse(torch.cat([spread, mixed], dim=1))
        return taught.masked_scatter(forged[:, None], fused.float())


def within_domain(latents: Tensor) -> Tensor:
    """Return the latents (n, D) of one generator, each augmented by one operator at random."""
    amount = torch.rand(len(latents), 1, device=latents.device)
    made = torch.stack([operator(latents, amount) for operator in OPERATORS])  # (4, n, D)
    chosen = torch.randint(len(OPERATORS), (len(latents),), device=latents.device)
    return made[chosen, torch.arange(len(latents), device=latents.device)]


def towards_hardest(latents: Tensor, amount: Tensor) -> Tensor:
    """Return latents (n, D) moved by a share (n, 1) of the way to that farthest from the mean."""
    distance = (latents - latents.mean(dim=0)).norm(dim=1)
    return latents + amount * (latents[distance.argmax()] - latents)


def centrifugal(latents: Tensor, amount: Tensor) -> Tensor:
    """Return latents (n, D) moved away from their mean by a share (n, 1) of their distance."""
    return latents + amount * (latents - latents.mean(dim=0))


def noised(latents: Tensor, amount: Tensor) -> Tensor:
    """Return latents (n, D) with Gaussian noise of a random deviation, times an amount (n, 1)."""
    return latents + amount * torch.rand_like(amount) * torch.randn_like(latents)


def along_difference(latents: Tensor, amount: Tensor) -> Tensor:
    """Return latents (n, D) moved by a share (n, 1) of the difference of two others."""
    one, other = (torch.randperm(len(latents), device=latents.device) for _ in range(2))
    return latents + amount * (latents[one] - latents[other])


OPERATORS = (towards_hardest, centrifugal, noised, along_difference)


def mixed_with(latents: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """Return latents (n, D), of which a share (n, 1) is kept and the rest is their partner's."""
    return share * latents + (1 - share) * latents[partner]


def partners(kinds: Tensor, origins: Tensor) -> Tensor:
    """Return for each row (n,) one of another generator, of its own original where there is one.

    Where all are of one generator, a row is its own partner.
    """
    other = (kinds[:, None] != kinds).float()
    alike = (origins[:, None] == origins).float()
    return drawn_partners(other * (1 + LIKE * alike))


def person_loss(latents: Tensor, kinds: Tensor, origins: Tensor, keeps: Tensor) -> Tensor:
    """Return how unlike their original forgeries are that keep the person, minus all others.

    The mean of ± (1 - cosine) over pairs of a genuine and a forged row of one original; 0 if none.

    Args:
        latents: (B, D) of the teacher of genuine clips.
        kinds: (B,) 0 genuine, else the generator.
        origins: (B,) equal for rows of one original.
        keeps: (K,) 1 where a generator keeps the person, else -1.
    """
    pairs = (kinds == 0)[:, None] & (kinds > 0) & (origins[:, None] == origins)
    unit = functional.normalize(latents.float(), dim=1)
    unlike = (1 - inner_products(unit, unit)) * keeps[kinds]
    return (pairs * unlike).sum() / pairs.sum().clamp(min=1)
