"""Training of single experts, and of any other module that gives step logits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from pipelines.detection.detector import Detector
from pipelines.detection.opinions import Opinion
from pipelines.metrics.classification import auc
from pipelines.train.batches import Batch, balanced_weights, draw_batches, targets_of
from pipelines.train.clips import LONGEST, TrainClip
from pipelines.train.expert_probe import ExpertProbe
from pipelines.train.fit import Run, backward, fit
from pipelines.train.losses import step_loss
from pipelines.train.options.method import Method, MethodConfig
from pipelines.train.stage import StageConfig


@runtime_checkable
class Learner(Protocol):
    """A module with a loss of its own besides the logits', such as a reconstruction loss."""

    def learn(
        self, streams: Mapping[str, Tensor], targets: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return step logits (B, L), and a scalar loss to be added to that of the logits.

        Args:
            streams: (B, L, ...) by name.
            targets: (B, L, 3) of each modality: 1 forged, 0 genuine, -1 unknown.
            mask: (B, L) bool, False where there is no step.
        """


class OpinionOfStreams(nn.Module):
    """The network of an opinion that reads streams: step logits (B, L) of its modality."""

    def __init__(self, opinion: Opinion, detector: Detector) -> None:
        super().__init__()
        self.reads, self.network = opinion.reads, detector.network(opinion.name)

    def forward(self, streams: dict[str, Tensor]) -> Tensor:
        """Return step logits (B, L)."""
        inputs = [streams[name] for name in self.reads]
        mask = torch.ones(inputs[0].shape[:2], dtype=torch.bool, device=inputs[0].device)
        logits: Tensor = self.network(*inputs, mask)
        return logits if logits.dim() == 2 else logits[:, None].expand(mask.shape)


def train_expert(
    name: str, modality: str, detector: Detector, clips: dict[str, list[TrainClip]],
    config: StageConfig, run: Run, option: MethodConfig | None = None,
) -> None:  # fmt: skip
    """Train an expert of the detector to tell forged from genuine steps."""
    probe = ExpertProbe(name, detector)
    parts = (clips["train"], clips["val"])
    train_steps(name, probe, probe.reads, modality, parts, config, run, option)


def train_steps(
    name: str,
    probe: nn.Module,
    streams: Sequence[str],
    modality: str,
    clips: tuple[Sequence[TrainClip], Sequence[TrainClip]],
    config: StageConfig,
    run: Run,
    option: MethodConfig | None = None,
) -> None:
    """Train a module that gives step logits (B, L) of streams to tell forged from genuine steps.

    It stays as it is where there is nothing to tell apart.

    Args:
        name: of the stage.
        probe: takes streams (B, L, ...) by name; may be a `Learner`.
        streams: the streams it takes; clips without one of them are left out.
        modality: whose labels it learns: visual, audio, sync, or any of them.
        clips: the training clips, and those for early stopping.
        config: the schedule.
        run: where log and checkpoints go.
        option: the method by which an `ExpertProbe` is trained; None: by the loss of its steps.
    """
    train, val = (
        [c for c in members if set(streams) <= c.names and getattr(c.sample, modality) is not None]
        for members in clips
    )
    run.log(stage=name, train=len(train), val=len(val))
    if any(len({bool(getattr(c.sample, modality)) for c in part}) < 2 for part in (train, val)):
        run.log(stage=name, skipped=f"no genuine or no forged {modality} in train or val")
        return
    weights = balanced_weights(train, modality)
    method = option.build(cast(ExpertProbe, probe), train, modality) if option else None
    module = (method or probe).to(run.device)

    def batches(first: int, last: int) -> Iterator[Batch]:
        return draw_batches(
            train, weights, streams, config.length, config.batch, run.seed, first, last,
            config.forged, run.team, views=option.views(train) if option else None,
        )  # fmt: skip

    def loss_of(module: nn.Module, batch: Batch) -> Tensor:
        batch = batch.to(run.device)
        if isinstance(module, Method):
            return module.loss(batch)
        more: Tensor | float = 0.0
        if isinstance(module, Learner):
            logits, more = module.learn(batch.streams, batch.targets, batch.mask)
        else:
            logits = module(batch.streams)
        targets = targets_of(batch.targets, modality)[..., None]
        return step_loss(logits[..., None], targets, batch.mask) + more

    def score_of(module: nn.Module) -> float:
        return probe_auc(module, val, streams, modality, run.device)

    finished = run.finished(name, module)
    gradients = method.gradients if method else backward
    fit(name, module, config, run, batches, loss_of, score_of, gradients)
    if method is not None and not finished:
        with torch.inference_mode(), run.autocast():
            scores = [clip_score(method, clip, streams, run.device) for clip in val]
        run.log(stage=name, **method.report(val, scores))


def probe_auc(
    module: nn.Module, clips: Sequence[TrainClip], streams: Sequence[str], modality: str,
    device: str,
) -> float:  # fmt: skip
    """Return the AUC of `clip_score` over clips."""
    scores = [clip_score(module, clip, streams, device) for clip in clips]
    return auc([int(bool(getattr(clip.sample, modality))) for clip in clips], scores)


def clip_score(module: nn.Module, clip: TrainClip, streams: Sequence[str], device: str) -> float:
    """Return the mean of the higher half of the step logits of a clip's first six seconds."""
    return suspicion(opening_logits(module, clip, streams, device))


def opening_logits(
    module: nn.Module, clip: TrainClip, streams: Sequence[str], device: str
) -> Tensor:
    """Return the step logits (T,) of a clip's first six seconds."""
    chunk = clip.chunk(0, min(clip.steps, LONGEST), streams, None)
    logits: Tensor = module({n: s[None].to(device) for n, s in chunk.items()})[0].float()
    return logits


def suspicion(logits: Tensor) -> float:
    """Return the mean of the higher half of step logits (T,)."""
    return float(logits.topk(max(len(logits) // 2, 1)).values.mean())
