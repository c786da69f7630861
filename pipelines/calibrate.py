"""Clips that took no part in training in, calibrated scores out (Platt 1999)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipelines.batches import TrainClip
from pipelines.detector import Detector
from pipelines.fitting import Run
from pipelines.losses import UNKNOWN
from pipelines.train_fusion import scored, token_clips
from temporal.localization import MODALITIES

FEWEST = 8  # clips of either class without which a scale cannot be fitted


def calibrate(detector: Detector, clips: Sequence[TrainClip], run: Run) -> None:
    """Fit scale and shift of each modality's logit, then of the largest one.

    Both classes weigh alike: a score of 0.5 is what a clip gets that either class would give.
    """
    if not clips:
        run.log(calibrate="none", note="no clips to calibrate on: scores are left as they are")
        return
    logits, truths = scored(detector.eval(), token_clips(detector, clips, run, versions=0), run)
    rows = detector.calibration.clone().cpu()
    for column, modality in enumerate(MODALITIES):
        known = (truths[:, column] != UNKNOWN) & ~logits[:, column].isnan()
        rows[column] = _fit(logits[known, column], truths[known, column], modality, run)
    scaled = logits * rows[:-1, 0] + rows[:-1, 1]
    judged = ~scaled.isnan().all(dim=1)
    largest = scaled.nan_to_num(-torch.inf).amax(dim=1)
    rows[-1] = _fit(largest[judged], (truths == 1).any(dim=1).float()[judged], "any", run)
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


def fit_platt(logits: Tensor, labels: Tensor, smallest: float = 0.05) -> tuple[float, float]:
    """Return the scale (> 0) and shift with the least balanced cross-entropy on 0/1 labels."""
    x, y = logits.double(), labels.double()
    weight = torch.where(y > 0, 0.5 / y.sum(), 0.5 / (1 - y).sum())
    parameters = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([parameters], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        z = x * parameters[0] + parameters[1]
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none")
        # a weak prior keeps the scale finite where the classes are separable
        loss = (weight * entropy).sum() + 1e-3 * parameters[0] ** 2
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    scale, shift = parameters.tolist()
    return max(scale, smallest), shift
