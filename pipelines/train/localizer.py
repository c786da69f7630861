"""What the trainings of both localizers share: batches, their loss and their held-out score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import torch
from torch import Tensor, nn

from extractors.clock import STEP_RATE
from pipelines.detection.detector import Detector
from pipelines.detection.pooling import clip_peaks
from pipelines.forge.segments import Segments
from pipelines.metrics.classification import auc
from pipelines.train.calibrate import fit_platt
from pipelines.train.fit import Run, fit
from pipelines.train.losses import focal_loss, reach_loss, step_loss
from pipelines.train.stage import StageConfig
from temporal.localization import LocalizationConfig, segment_targets
from temporal.segment import Segment

FORGED = 2.0  # weight of a forged step
PRIOR = 0.1  # share of the steps, and of the clips, that are taken to be forged in part
FEWEST = STEP_RATE // 10  # steps of either kind by which a clip is scored


@dataclass(frozen=True, eq=False)
class LocalizerBatch:
    """Clips and the targets of a localizer's head, of one modality."""

    inputs: tuple[Tensor, ...]  # (B, L, ...) each
    mask: Tensor  # (B, L) bool
    steps: Tensor  # (B, L, 1): 1 forged
    proposals: Tensor  # (B, L, K, 1)
    reach: Tensor  # (B, L, K, 1, 2)

    def to(self, device: str) -> LocalizerBatch:
        """Return the batch on a device."""
        targets = (self.mask, self.steps, self.proposals, self.reach)
        return LocalizerBatch(
            tuple(x.to(device) for x in self.inputs), *(t.to(device) for t in targets)
        )


def localizer_batch(
    inputs: Sequence[tuple[Tensor, ...]],
    truths: Sequence[Segments],
    config: LocalizationConfig,
) -> LocalizerBatch:
    """Return clips' inputs (L, ...) and forged seconds as one batch, shorter clips padded."""
    lengths = [len(clip[0]) for clip in inputs]
    longest = max(lengths)
    targets = [
        # one modality is as good as another: the column is cut out
        segment_targets([Segment(a, b, 1.0, "visual") for a, b in truth], longest, config)
        for truth in truths
    ]
    padded = nn.utils.rnn.pad_sequence
    return LocalizerBatch(
        tuple(padded(list(some), batch_first=True) for some in zip(*inputs, strict=True)),
        torch.stack([torch.arange(longest) < length for length in lengths]),
        torch.stack([t.steps[:, :1] for t in targets]),
        torch.stack([t.proposals[..., :1] for t in targets]),
        torch.stack([t.reach[:, :, :1] for t in targets]),
    )


def fit_localizer(
    stage: str,
    localizer: nn.Module,
    batches: Callable[[int, int], Iterator[LocalizerBatch]],
    held_out: Sequence[LocalizerBatch],
    config: StageConfig,
    run: Run,
) -> None:
    """Train a localizer; its held-out score is the mean AUC of steps within their clip."""

    def loss_of(module: nn.Module, batch: LocalizerBatch) -> Tensor:
        batch = batch.to(run.device)
        out = module(*batch.inputs, batch.mask)
        return (
            step_loss(out.logits, batch.steps, batch.mask, positive_weight=FORGED)
            + 0.5 * focal_loss(out.proposal_logits, batch.proposals, batch.mask)
            + 0.5 * reach_loss(out.reach, batch.reach, batch.proposals, batch.mask)
        )

    def score_of(module: nn.Module) -> float:
        areas = [a for batch in held_out for a in within_clips(module, batch.to(run.device))]
        return float(np.mean(areas)) if areas else 0.5

    fit(stage, localizer, config, run, batches, loss_of, score_of)


def calibrate_localizer(
    name: str, detector: Detector, held_out: Sequence[LocalizerBatch], run: Run
) -> None:
    """Fit scale and shift of a localizer's logits, of steps and of a clip's peak (Platt 1999).

    The fit weighs both classes alike; the shift makes forgeries as rare as `PRIOR`, since the
    localizer is joined by noisy-or, and an accused innocent costs more than a missed forgery.
    """
    localizer = detector.network(name).eval()
    steps, forged, peaks, partial = [], [], [], []
    for batch in held_out:
        moved = batch.to(run.device)
        with torch.no_grad():
            logits = localizer(*moved.inputs, moved.mask).logits.float()
        steps.append(logits[moved.mask][:, 0].cpu())
        forged.append(moved.steps[moved.mask][:, 0].cpu())
        peaks.append(clip_peaks(logits, moved.mask, detector.config.localized_steps)[:, 0].cpu())
        partial.append(moved.steps.amax(dim=(1, 2)).cpu())
    row = [opinion.name for opinion in detector.opinions].index(name)
    for weights, found, truth in (
        (detector.step_weights, steps, forged), (detector.clip_weights, peaks, partial)
    ):  # fmt: skip
        scale, shift = fit_platt(torch.cat(found), torch.cat(truth))
        weights[row] = torch.tensor([scale, shift + log(PRIOR / (1 - PRIOR))])
        run.log(stage=name, scale=round(scale, 4), shift=round(shift, 4))


def within_clips(module: nn.Module, batch: LocalizerBatch) -> list[float]:
    """Return the AUC of forged against genuine steps, of each clip that has both."""
    logits = module(*batch.inputs, batch.mask).logits[..., 0].float().cpu().numpy()
    areas = []
    for row, truth, mask in zip(
        logits, batch.steps[..., 0].cpu().numpy() > 0, batch.mask.cpu().numpy(), strict=True
    ):
        forged = truth[mask]
        if min(forged.sum(), (~forged).sum()) >= FEWEST:
            areas.append(auc(forged, row[mask]))
    return areas
