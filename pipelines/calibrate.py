"""Clips that took no part in training in, calibrated scores out (Platt 1999)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from pipelines.batches import TrainClip
from pipelines.detector import JUDGES, PEAK_STEPS, Detector, any_logit
from pipelines.fitting import Run
from pipelines.losses import UNKNOWN
from pipelines.train_fusion import (
    SOUND,
    TokenClip,
    as_judged,
    clip_targets,
    scored,
    token_clips,
    with_lag,
)
from temporal.localization import MODALITIES

SMALLEST = 0.05  # scale
FEWEST = 8  # clips of either class without which a scale cannot be fitted


def calibrate(detector: Detector, clips: dict[str, list[TrainClip]], run: Run) -> None:
    """Fit how much each judge is to be trusted, then scale and shift of the modalities' logits.

    Each modality has two of the latter: for its own score and for its part in the clip's. Both
    classes weigh alike: a score of 0.5 is what a clip gets that either class would give.
    """
    if not clips["calibration"]:
        run.log(calibrate="none", note="no clips to calibrate on: scores are left as they are")
        return
    detector.eval()
    own, stopped = (
        token_clips(detector, clips[s], run, versions=0) for s in ("calibration", "val")
    )
    fit_trust(detector, [*own, *stopped], run)
    logits, truths = scored(detector, own, run)
    rows = detector.calibration.clone().cpu()
    for column, modality in enumerate(MODALITIES):
        known = (truths[:, column] != UNKNOWN) & ~logits[:, column].isnan()
        rows[0, column] = _fit(logits[known, column], truths[known, column], modality, run)
    # moved sound taught the sync score its scale; in the clips that come, it is rarer by far
    logits, truths = scored(detector, own, run, move=False)
    judged = ~logits.isnan().all(dim=1)
    labels = (truths == 1).any(dim=1).float()[judged]
    rows[1] = rows[0]
    if min(labels.sum(), (1 - labels).sum()) >= FEWEST:
        rows[1] = fit_any(logits[judged], labels, rows[0])
    run.log(calibrate="any", fake=int(labels.sum()), real=int((1 - labels).sum()),
            rows=[[round(v, 4) for v in row] for row in rows[1].tolist()])  # fmt: skip
    detector.calibration.copy_(rows)


def fit_trust(detector: Detector, clips: Sequence[TokenClip], run: Run) -> None:
    """Fit the factors on the judges' logits, each modality for itself (stacking, Wolpert 1992).

    On clips that taught no expert: one that learned its training clips by heart is loud, and
    would drown a modest one that holds on people and generators never seen.
    """
    opinions, truths = _opinions(detector, clips, run)
    for column, modality in enumerate(MODALITIES):
        mine = [i for i, (_, m) in enumerate(JUDGES) if m == modality]
        known = (truths[:, column] != UNKNOWN) & ~opinions[:, mine].isnan().any(dim=1)
        labels = truths[known, column]
        if min(labels.sum(), (1 - labels).sum()) < FEWEST:
            continue
        x = opinions[known][:, mine]
        start = torch.stack([detector.trust[mine].cpu(), torch.zeros(len(mine))], dim=1)
        factors = _fitted(lambda z: z.sum(dim=1), x, labels, start)[:, 0]
        detector.trust[mine] = factors.to(detector.trust)
        named = dict(zip((JUDGES[i][0] for i in mine), factors.tolist(), strict=True))
        run.log(trust=modality, fake=int(labels.sum()), real=int((1 - labels).sum()), **named)


@torch.inference_mode()
def _opinions(detector: Detector, clips: Sequence[TokenClip], run: Run) -> tuple[Tensor, Tensor]:
    """Return each judge's clip logits (N, len(JUDGES)), NaN where it has none, and truth (N, 3)."""
    rows, truths = [], []
    for tokens, targets, kind in as_judged(clips):
        mask = torch.ones(1, len(targets), dtype=torch.bool, device=run.device)
        given = {n: t[None].float().to(run.device) for n, t in tokens.items()}
        said = {}
        if kind != "sound":
            said = detector.opinions(with_lag(detector, given, mask), mask)[1]
        if kind != "face":  # the sound is judged by itself
            heard = {n: t for n, t in given.items() if n in SOUND}
            alone = detector.opinions(heard, mask)[1]
            said |= {name: alone[name] for name, m in JUDGES if m == "audio"}
        rows.append([_pooled(said[name][0]) if name in said else torch.nan for name, _ in JUDGES])
        truths.append(clip_targets(targets[None])[0])
    return torch.tensor(rows), torch.stack(truths)


def _pooled(logits: Tensor) -> float:
    """Return half the mean, half the peak second, of step logits (T,)."""
    peak = logits.topk(min(PEAK_STEPS, len(logits))).values.mean()
    return float((logits.mean() + peak) / 2)


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
