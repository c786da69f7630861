"""Training that weighs hard clips more: momentum difficulty boosting.

Source: Bhattacharyya et al., Diffusion Deepfake, 2024, of which only the abstract was at hand: the
formula of the weights is ours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pipelines.metrics.classification import auc
from pipelines.train.batches import Batch
from pipelines.train.clips import TrainClip
from pipelines.train.expert_probe import ExpertProbe
from pipelines.train.losses import known_steps
from pipelines.train.options.method import Method, MethodConfig

UNSEEN = 0.5  # difficulty of a clip before it is first drawn
HARDEST = 5  # clips that are named in the log


@dataclass(frozen=True)
class MdbConfig(MethodConfig):
    """Clips weigh by how hard they have been."""

    momentum: float = 0.9  # of a clip's difficulty, per time that it is drawn
    power: float = 2.0  # of the weights; 0: all clips weigh alike
    cap: float = 0.9  # most that difficulty counts: what stays harder may be labelled wrongly

    def build(self, probe: ExpertProbe, clips: Sequence[TrainClip], modality: str) -> Method:
        """Return the method around an expert."""
        return Boosting(probe, modality, self, clips)


class Boosting(Method):
    """The loss of the steps, each weighted by its clip's difficulty."""

    difficulty: Tensor  # (N,) in [0, 1]: the moving average of 1 - p(true class)

    def __init__(
        self, probe: ExpertProbe, modality: str, config: MdbConfig, clips: Sequence[TrainClip]
    ) -> None:
        super().__init__(probe, modality)
        self.config = config
        self.paths = tuple(str(clip.sample.path) for clip in clips)
        self.register_buffer("difficulty", torch.full((len(clips),), UNSEEN))

    def loss(self, batch: Batch) -> Tensor:
        """Return the weighted loss of a batch, and take its clips' difficulty in."""
        logits, targets = self.probe(batch.streams).float(), self.targets(batch)
        known = known_steps(targets, batch.mask)
        entropy = functional.binary_cross_entropy_with_logits(
            logits, targets.clamp(min=0), reduction="none"
        )
        weights = boosted(self.difficulty[batch.clips], self.config.power, self.config.cap)
        with torch.no_grad():
            right = (-entropy).exp()  # p(true class) of each step
            missed = 1 - (known * right).sum(dim=1) / known.sum(dim=1).clamp(min=1)
            self.difficulty.copy_(
                followed(self.difficulty, batch.clips, missed, self.config.momentum)
            )
        return (known * entropy * weights[:, None]).sum() / known.sum().clamp(min=1e-8)

    def report(self, held_out: Sequence[TrainClip], scores: Sequence[float]) -> dict[str, object]:
        """Return the hardest clips, how many are at the cap, and the matrix of generalisation."""
        order = self.difficulty.argsort(descending=True)[:HARDEST].tolist()
        return {
            "hardest": {self.paths[i]: round(float(self.difficulty[i]), 3) for i in order},
            "capped": int((self.difficulty > self.config.cap).sum()),
            "diversity": diversity_matrix(held_out, scores, self.modality),
        }


def boosted(difficulty: Tensor, power: float, cap: float) -> Tensor:
    """Return weights (B,) of mean 1 that grow with difficulty (B,), which counts up to a cap."""
    weights = (1 + difficulty.clamp(max=cap)) ** power
    return weights / weights.mean()


def followed(difficulty: Tensor, clips: Tensor, missed: Tensor, momentum: float) -> Tensor:
    """Return the difficulty (N,) after the rows (B,) of some clips missed their class by (B,).

    A clip that is drawn several times at once counts by the mean of its rows.
    """
    mean = difficulty.scatter_reduce(0, clips, missed, "mean", include_self=False)
    drawn = torch.zeros_like(difficulty, dtype=torch.bool).index_fill(0, clips, True)
    return torch.where(drawn, momentum * difficulty + (1 - momentum) * mean, difficulty)


def diversity_matrix(
    clips: Sequence[TrainClip], scores: Sequence[float], modality: str
) -> dict[str, dict[str, float]]:
    """Return the AUC of each method's fakes within each source, by method and source.

    Cells of sources without a genuine clip are left out: there is nothing to tell apart.
    """
    genuine: defaultdict[str, list[float]] = defaultdict(list)
    fakes: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for clip, score in zip(clips, scores, strict=True):
        sample = clip.sample
        if getattr(sample, modality):
            fakes[sample.method, sample.source].append(score)
        else:
            genuine[sample.source].append(score)
    matrix: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for (method, source), found in sorted(fakes.items()):
        if genuine[source]:
            labels = [0] * len(genuine[source]) + [1] * len(found)
            matrix[method][source] = round(auc(labels, genuine[source] + found), 4)
    return dict(matrix)
