"""Clips that took no part in training in, calibrated scores out (Platt 1999)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from pipelines.batches import TrainClip
from pipelines.detector import Detector, any_logit
from pipelines.fitting import Run
from pipelines.losses import UNKNOWN
from pipelines.train_fusion import scored, token_clips
from temporal.localization import MODALITIES

SMALLEST = 0.05  # scale
FEWEST = 8  # clips of either class without which a scale cannot be fitted


def calibrate(detector: Detector, clips: Sequence[TrainClip], run: Run) -> None:
    """Fit scale and shift of each modality's logit, for its own score and for the clip's.

    Both classes weigh alike: a score of 0.5 is what a clip gets that either class would give.
    """
    if not clips:
        run.log(calibrate="none", note="no clips to calibrate on: scores are left as they are")
        return
    logits, truths = scored(detector.eval(), token_clips(detector, clips, run, versions=0), run)
    rows = detector.calibration.clone().cpu()
    for column, modality in enumerate(MODALITIES):
        known = (truths[:, column] != UNKNOWN) & ~logits[:, column].isnan()
        rows[0, column] = _fit(logits[known, column], truths[known, column], modality, run)
    judged = ~logits.isnan().all(dim=1)
    labels = (truths == 1).any(dim=1).float()[judged]
    rows[1] = rows[0]
    if min(labels.sum(), (1 - labels).sum()) >= FEWEST:
        rows[1] = fit_any(logits[judged], labels, rows[0])
    run.log(calibrate="any", fake=int(labels.sum()), real=int((1 - labels).sum()),
            rows=[[round(v, 4) for v in row] for row in rows[1].tolist()])  # fmt: skip
    detector.calibration.copy_(rows)


def _fit(logits: Tensor, labels: Tensor, name: str, run: Run) -> Tensor:
    """Return (scale, shift) that make the logits of two classes of equal weight most likely."""
    counts = int(labels.sum()), int((1 - labels).sum())
    if min(counts) < FEWEST:
        run.log(calibrate=name, fake=counts[0], real=counts[1], note="too few clips: left as is")
        return torch.tensor([1.0, 0.0])
    scale, shift = fit_platt(logits, labels)
    run.log(
        calibrate=name, fake=counts[0], real=counts[1], scale=round(scale, 4), shift=round(shift, 4)
    )
    return torch.tensor([scale, shift])


def fit_platt(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the scale (> 0) and shift with the least balanced cross-entropy on 0/1 labels."""
    start = torch.tensor([[1.0, 0.0]])
    scale, shift = _fitted(lambda z: z[:, 0], logits[:, None], labels, start)[0].tolist()
    return scale, shift


def fit_any(logits: Tensor, labels: Tensor, start: Tensor) -> Tensor:
    """Return (scale > 0, shift) a modality (K, 2) whose noisy-or fits the labels (N,) best.

    Args:
        logits: (N, K), NaN where a modality was not judged.
        labels: 0 or 1.
        start: (K, 2) where the search begins.
    """
    return _fitted(any_logit, logits, labels, start)


def _fitted(
    join: Callable[[Tensor], Tensor], logits: Tensor, labels: Tensor, start: Tensor
) -> Tensor:
    x, y = logits.double(), labels.double()
    weight = torch.where(y > 0, 0.5 / y.sum(), 0.5 / (1 - y).sum())
    scale = start[:, 0].double().clamp(min=SMALLEST).log().requires_grad_()
    shift = start[:, 1].double().clone().requires_grad_()
    optimizer = torch.optim.LBFGS([scale, shift], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        missing = x.isnan()
        scaled = (x.masked_fill(missing, 0.0) * scale.exp() + shift).masked_fill(missing, torch.nan)
        entropy = functional.binary_cross_entropy_with_logits(join(scaled), y, reduction="none")
        # a weak prior keeps the scales finite where the classes are separable
        loss = (
            (weight * entropy).sum() + 1e-3 * (scale.exp() ** 2).sum() + 1e-4 * shift.square().sum()
        )
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return torch.stack([scale.exp().clamp(min=SMALLEST), shift], dim=1).detach().float()
