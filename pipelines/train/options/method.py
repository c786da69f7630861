"""What every option of training is made of: its settings, and how it changes a stage's training.

The loop stays `pipelines.train.fit`: a method chooses the rows of a batch, its loss and how
gradients are taken, and wraps the expert in networks that only training needs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipelines.train.batches import Batch, Views, targets_of
from pipelines.train.clips import TrainClip
from pipelines.train.expert_probe import ExpertProbe
from pipelines.train.fit import backward
from pipelines.train.losses import step_loss
from temporal.mobilenet import InvertedResidual
from temporal.residual import ResidualBlock

EXPERT_STAGES = ("appearance", "flow", "depth", "mel")


@dataclass(frozen=True)
class MethodConfig(ABC):
    """The settings of a method."""

    stages: tuple[str, ...] = EXPERT_STAGES  # experts that are trained by it

    def __post_init__(self) -> None:
        unknown = sorted(set(self.stages) - set(EXPERT_STAGES))
        if unknown:
            raise ValueError(f"stages must be of {list(EXPERT_STAGES)}, got {unknown}")

    @abstractmethod
    def build(self, probe: ExpertProbe, clips: Sequence[TrainClip], modality: str) -> Method:
        """Return the method around an expert that learns a modality of training clips."""

    def views(self, clips: Sequence[TrainClip]) -> Views | None:
        """Return the rows that each clip becomes in a batch; None: itself."""
        return None


class Method(nn.Module, ABC):
    """An expert with what only its training needs; its logits are the expert's alone."""

    def __init__(self, probe: ExpertProbe, modality: str) -> None:
        super().__init__()
        self.probe, self.modality = probe, modality

    def forward(self, streams: dict[str, Tensor]) -> Tensor:
        """Return step logits (B, L)."""
        logits: Tensor = self.probe(streams)
        return logits

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch."""

    def gradients(self, loss_on: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
        """Leave the gradients of the loss on a batch, and return it."""
        return backward(loss_on, batch)

    def report(self, held_out: Sequence[TrainClip], scores: Sequence[float]) -> dict[str, object]:
        """Return facts for the log on the trained stage, which gave held-out clips these scores."""
        return {}

    def step_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of the labelled steps of logits (B, L)."""
        return step_loss(logits[..., None], self.targets(batch)[..., None], batch.mask)

    def targets(self, batch: Batch) -> Tensor:
        """Return the modality's step targets (B, L)."""
        return targets_of(batch.targets, self.modality)

    def forged(self, batch: Batch) -> Tensor:
        """Return whether any step of a row is forged, (B,) bool."""
        return ((self.targets(batch) == 1) & batch.mask).any(dim=1)


class Kinds(nn.Module):
    """The generator of each row of a batch: 0 genuine, then the methods, last forged on the fly.

    A stretch of a forgery in which nothing is forged is genuine.
    """

    of_clip: Tensor  # (N,) int64

    def __init__(self, clips: Sequence[TrainClip], modality: str, most: int | None = None) -> None:
        """Number the methods of forged clips, frequent ones first; all after `most` are one."""
        super().__init__()
        forged = [c.sample.method for c in clips if getattr(c.sample, modality)]
        names = sorted(set(forged), key=lambda name: (-forged.count(name), name))
        self.names = tuple(names[:most] + names[most:][:1] if most else names)
        places = {name: min(i, len(self.names) - 1) + 1 for i, name in enumerate(names)}
        found = [places[c.sample.method] if getattr(c.sample, modality) else 0 for c in clips]
        self.register_buffer("of_clip", torch.tensor(found), persistent=False)

    @property
    def count(self) -> int:
        """The number of generators, genuine and forged on the fly included."""
        return len(self.names) + 2

    def forward(self, batch: Batch, forged: Tensor) -> Tensor:
        """Return the generators (B,) of rows of which some are forged (B,)."""
        named = self.of_clip[batch.clips]
        drawn = torch.where(named > 0, named, self.count - 1)
        return torch.where(forged, drawn, 0)


def blocks_of(expert: nn.Module) -> list[nn.Module]:
    """Return the residual blocks of an expert that change the width of its features, in order."""
    return [
        module
        for module in expert.modules()
        if isinstance(module, ResidualBlock)
        or (isinstance(module, InvertedResidual) and not module.residual)
    ]


@contextmanager
def tapped(blocks: Sequence[nn.Module]) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Collect inputs and outputs of modules while they run, in the order in which they do."""
    seen: list[tuple[Tensor, Tensor]] = []
    handles = [
        block.register_forward_hook(lambda _block, given, made: seen.append((given[0], made)))
        for block in blocks
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def displaced(module: nn.Module, shift: Callable[[nn.Parameter], Tensor]) -> Iterator[None]:
    """Move the parameters that have gradients by `shift`, then restore them exactly.

    Running statistics that are gathered meanwhile are restored too.
    """
    kept: list[tuple[Tensor, Tensor]] = [(b, b.clone()) for b in module.buffers()]
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.grad is not None:
                kept.append((parameter, parameter.clone()))
                parameter.add_(shift(parameter))
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, before in kept:
                tensor.copy_(before)


def pooled_rows(features: Tensor, rows: int) -> Tensor:
    """Return the mean features (B, C) of a block's output (B, C, ...) or (B * L, C, ...)."""
    pooled = features.float().flatten(2).mean(dim=2)
    return pooled.reshape(rows, -1, pooled.shape[1]).mean(dim=1)


def inner_products(x: Tensor, y: Tensor) -> Tensor:
    """Return the inner products (n, m) of rows (n, D) and (m, D), in float32 under autocast too."""
    with torch.autocast(x.device.type, enabled=False):
        return x.float() @ y.float().T


def drawn_partners(weights: Tensor) -> Tensor:
    """Return another row for each (n,), drawn by weights (n, n); itself where all are 0."""
    itself = 1e-6 * torch.eye(len(weights), device=weights.device)
    return torch.multinomial(weights + itself, 1)[:, 0]
