"""Training that is blind to compression: the same clip in three qualities, hardened weights.

Source: Le and Woo, Quality-Agnostic Deepfake Detection with Intra-model Collaborative Learning,
ICCV 2023; the perturbation after Wu, Xia and Wang, Adversarial Weight Perturbation Helps Robust
Generalization, NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import torch
from torch import Tensor, nn

from extractors.encoding import reencode_frames, reencode_waveform
from pipelines.train.batches import Batch, Views
from pipelines.train.changed_clip import ChangedClip
from pipelines.train.clips import TrainClip
from pipelines.train.expert_probe import ExpertProbe
from pipelines.train.fit import backward
from pipelines.train.losses import step_loss
from pipelines.train.options.method import (
    Method,
    MethodConfig,
    blocks_of,
    displaced,
    pooled_rows,
    tapped,
)

# Rate factor of H.264 and bit rate of AAC of the two lower qualities; the first is as it comes.
CODED = ((23, 64_000), (40, 24_000))
QUALITIES = 1 + len(CODED)


@dataclass(frozen=True)
class QadConfig(MethodConfig):
    """Three qualities of each clip, alike in their features, under perturbed weights."""

    stages: tuple[str, ...] = ("appearance", "mel")  # flow and depth are not extracted anew
    alpha: float = 0.002  # weight of the dependence between qualities
    omega: tuple[float, ...] = (0.1, 0.25, 0.5)  # weights of the expert's first blocks
    sigma: float = 6.0  # width of the Gaussian kernels
    gamma: float = 0.002  # length of the perturbation, as a share of a weight's norm; 0: none
    warm: int = 100  # updates before weights are perturbed

    def __post_init__(self) -> None:
        super().__post_init__()
        if not set(self.stages) <= {"appearance", "mel"}:
            raise ValueError(f"qad teaches appearance and mel alone, got {list(self.stages)}")

    def build(self, probe: ExpertProbe, clips: Sequence[TrainClip], modality: str) -> Method:
        """Return the method around an expert."""
        return Qad(probe, modality, self)

    def views(self, clips: Sequence[TrainClip]) -> Views:
        """Return each clip in all qualities."""
        coded = [[coded_clip(clip, crf, rate) for crf, rate in CODED] for clip in clips]
        return lambda place: [(place, clip) for clip in (clips[place], *coded[place])]


class Qad(Method):
    """The losses of all qualities minus the dependence (HSIC) between their features."""

    updates: Tensor  # () int64, done so far

    def __init__(self, probe: ExpertProbe, modality: str, config: QadConfig) -> None:
        super().__init__(probe, modality)
        self.config = config
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch whose rows are clips, each in all qualities."""
        blocks = blocks_of(self.probe.expert)[: len(self.config.omega)]
        with tapped(blocks) as seen:
            logits = self.probe(batch.streams)
        targets = self.targets(batch)
        total = torch.zeros((), device=logits.device)
        for rows in (slice(q, None, QUALITIES) for q in range(QUALITIES)):
            total = total + step_loss(
                logits[rows, :, None], targets[rows, :, None], batch.mask[rows]
            )
        for weight, (_, output) in zip(self.config.omega, seen, strict=False):
            features = pooled_rows(output, len(logits))
            for one, other in combinations(range(QUALITIES), 2):
                pair = features[one::QUALITIES], features[other::QUALITIES]
                total = total - self.config.alpha * weight * hsic(*pair, self.config.sigma)
        return total

    def gradients(self, loss_on: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
        """Leave the gradients of the loss at perturbed weights, once these are warm."""
        loss = backward(loss_on, batch)
        self.updates += 1
        if self.config.gamma == 0 or int(self.updates) <= self.config.warm:
            return loss
        with displaced(self, partial(along_gradient, gamma=self.config.gamma)):
            self.zero_grad(set_to_none=True)
            return backward(loss_on, batch)


def coded_clip(clip: TrainClip, crf: int, bit_rate: int) -> TrainClip:
    """Return a clip after H.264 at a rate factor, and AAC."""
    return ChangedClip(
        clip.sample, clip.face, clip.waveform,
        of_crops=partial(reencode_frames, crf=crf),
        of_sound=partial(reencode_waveform, codec="aac", bit_rate=bit_rate),
    )  # fmt: skip


def hsic(x: Tensor, y: Tensor, sigma: float) -> Tensor:
    """Return the Hilbert-Schmidt independence criterion of x (n, C) and y (n, D), biased.

    It is tr(KHLH) / (n - 1)² with Gaussian kernels K and L of width sigma (Gretton et al. 2005).
    """
    return centred_product(gaussian_kernel(x, sigma), gaussian_kernel(y, sigma))


def gaussian_kernel(x: Tensor, sigma: float) -> Tensor:
    """Return the kernel matrix (n, n) of x (n, D)."""
    squared = (x[:, None] - x[None]).square().sum(dim=2)
    return (-squared / (2 * sigma**2)).exp()


def centred_product(k: Tensor, l: Tensor) -> Tensor:  # noqa: E741
    """Return tr(KHLH) / (n - 1)² of symmetric kernel matrices (n, n), 0 of a single row."""
    centred = k - k.mean(dim=0, keepdim=True)
    centred = centred - centred.mean(dim=1, keepdim=True)
    return (centred * l).sum() / max(len(k) - 1, 1) ** 2


def along_gradient(weight: nn.Parameter, gamma: float) -> Tensor:
    """Return the move of a weight matrix by gamma times its norm along its gradient.

    Biases and the scales of normalisation stay where they are, as does what has no gradient.
    """
    if weight.dim() < 2 or weight.grad is None:
        return torch.zeros_like(weight)
    return gamma * weight.norm() / weight.grad.norm().clamp(min=1e-12) * weight.grad
