"""Training on several corpora: domain-wise adapters, and steps that are to help other corpora.

Source: Lai et al., GM-DF: Generalized Multi-Scenario Deepfake Detection, 2024; its text prompts are
learned prototypes here, and the step of meta-learning is of first order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.detection.pooling import clip_means
from pipelines.train.batches import Batch
from pipelines.train.clips import TrainClip
from pipelines.train.expert_probe import ExpertProbe
from pipelines.train.fit import backward
from pipelines.train.options.method import Method, MethodConfig, displaced, inner_products
from temporal.adapters import DOMAIN_WIDTH

PATCHES = 8  # a side of a picture, each hidden at even odds
TEMPERATURE, LOOSER = 0.07, 0.01  # of prototypes: at least, and times the norm of a domain's
UNKNOWN_DOMAIN = 0.5  # share of the rows that are judged as of no known domain, as files are


@dataclass(frozen=True)
class GmdfConfig(MethodConfig):
    """Sources of clips as domains: half of them teach how to step, all are to gain by it."""

    inner: float = 1e-4  # learning rate of the step on half of the domains
    prototypes: float = 0.1  # weight of telling classes of domains apart
    rebuilt: float = 0.1  # of rebuilding hidden patches
    aligned: float = 0.01  # of the distance between both halves' features

    def build(self, probe: ExpertProbe, clips: Sequence[TrainClip], modality: str) -> Method:
        """Return the method around an expert."""
        return Gmdf(probe, modality, self, clips)


class Gmdf(Method):
    """An expert with an adapter, and what relates the domains in training."""

    domains: Tensor  # (N,) int64 of each clip
    updates: Tensor  # () int64, done so far
    ahead: Tensor  # (M,) bool: domains of the inner step

    def __init__(
        self, probe: ExpertProbe, modality: str, config: GmdfConfig, clips: Sequence[TrainClip]
    ) -> None:
        super().__init__(probe, modality)
        self.config = config
        names = list(dict.fromkeys(clip.sample.source for clip in clips))
        places = torch.tensor([names.index(clip.sample.source) for clip in clips])
        self.register_buffer("domains", places, persistent=False)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("ahead", torch.zeros(len(names), dtype=torch.bool))
        self.embedding = nn.Embedding(len(names), DOMAIN_WIDTH)
        self.prototypes = nn.Parameter(torch.randn(len(names), 2, probe.dim))
        one = clips[0].chunk(0, 1, (probe.name,), None)
        pixels = probe.pictures({n: s[None] for n, s in one.items()}, PATCHES)[0, 0].numel()
        self.rebuild = nn.Sequential(
            nn.Linear(probe.dim, 2 * probe.dim), nn.GELU(), nn.Linear(2 * probe.dim, pixels)
        )

    def loss(self, batch: Batch) -> Tensor:
        """Return the weighted sum of the losses of steps, prototypes, patches and alignment."""
        config, domains = self.config, self.domains[batch.clips]
        known = torch.rand(len(domains), 1, device=domains.device) >= UNKNOWN_DOMAIN
        tokens = self.probe.tokens(batch.streams, self.embedding(domains) * known)
        features = clip_means(tokens.float(), batch.mask)
        total = self.step_loss(self.probe.linear(tokens), batch)
        total = total + config.prototypes * prototype_loss(
            features, self.prototypes, domains, self.forged(batch).long()
        )
        total = total + config.rebuilt * self._rebuilding(batch)
        ahead = self.ahead[domains]
        if ahead.any() and not ahead.all():
            distance = wasserstein(features[ahead], features[~ahead])
            total = total + config.aligned * distance
        return total

    def gradients(self, loss_on: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
        """Leave the gradients of all domains' loss where a step on half of them leads (MAML)."""
        self.updates += 1
        rng = torch.Generator().manual_seed(int(self.updates))
        present = self.domains[batch.clips].unique()  # type: ignore[no-untyped-call]
        if len(present) < 2:
            return backward(loss_on, batch)
        order = torch.randperm(len(present), generator=rng).to(present.device)
        self.ahead.zero_()
        self.ahead[present[order[: len(order) // 2]]] = True
        backward(loss_on, batch.rows(self.ahead[self.domains[batch.clips]]))
        with displaced(self, self._inner_step):
            self.zero_grad(set_to_none=True)
            return backward(loss_on, batch)

    def _inner_step(self, parameter: nn.Parameter) -> Tensor:
        if parameter.grad is None:
            return torch.zeros_like(parameter)
        return -self.config.inner * parameter.grad

    def _rebuilding(self, batch: Batch) -> Tensor:
        """Return the error of the hidden patches' mean values, from the tokens of what is left."""
        name = self.probe.name
        stream = batch.streams[name].float()
        lines = stream if stream.dim() == 5 else stream[:, :, None]
        goal = self.probe.pictures(batch.streams, PATCHES)  # (B, L, C, h, w)
        hidden = torch.rand(goal[:, :, :1].shape, device=stream.device) < 0.5
        veil = functional.interpolate(hidden.flatten(0, 1).float(), lines.shape[-2:])
        veil = veil.reshape(*lines.shape[:2], *veil.shape[1:])
        seen = lines * (1 - veil) + lines.mean(dim=(3, 4), keepdim=True) * veil
        tokens = self.probe.tokens({**batch.streams, name: seen.reshape(stream.shape)})
        made = self.rebuild(tokens).reshape(goal.shape)
        chosen = hidden & batch.mask[:, :, None, None, None]
        error = (made - goal).float().square() * chosen
        return error.sum() / (chosen.sum() * goal.shape[2]).clamp(min=1)


def prototype_loss(
    features: Tensor, prototypes: Tensor, domains: Tensor, classes: Tensor
) -> Tensor:
    """Return the cross-entropy of picking each row's own prototype among those of all domains.

    Args:
        features: (B, D).
        prototypes: (M, 2, D); the longer those of a domain are, the softer is its choice.
        domains: (B,).
        classes: (B,) 0 genuine, 1 forged.
    """
    flat = functional.normalize(prototypes.flatten(0, 1), dim=1)
    cosines = inner_products(functional.normalize(features, dim=1), flat)  # (B, 2M)
    softness = TEMPERATURE + LOOSER * prototypes.flatten(1).norm(dim=1)[domains]
    return functional.cross_entropy(cosines / softness[:, None], 2 * domains + classes)


def wasserstein(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared 2-Wasserstein distance of the Gaussians of rows x (n, D) and y (m, D).

    |mean difference|² + tr(S + T - 2 (S^½ T S^½)^½), covariances S and T (Dowson & Landau 1982).
    With centred rows divided by √n, S = AᵀA and T = BᵀB, the last trace is the nuclear norm of ABᵀ:
    its gradient exists where covariances have no full rank.
    """
    a = (x - x.mean(dim=0)) / len(x) ** 0.5
    b = (y - y.mean(dim=0)) / len(y) ** 0.5
    apart = (x.mean(dim=0) - y.mean(dim=0)).square().sum()
    shared = torch.linalg.svdvals(inner_products(a, b)).sum()
    return apart + a.square().sum() + b.square().sum() - 2 * shared
