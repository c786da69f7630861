"""Opinion weights (stacking) and calibration (Platt 1999), fitted on held-out clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from pipelines.detection.detector import Detector
from pipelines.detection.opinions import Level
from pipelines.detection.pooling import clip_means, clip_peaks
from pipelines.train.calibrated import (
    calibrated_rows,
    leave_steps_to_localizer,
    leave_whole_to_calibrated,
)
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run
from pipelines.train.losses import UNKNOWN
from pipelines.train.token_clips import JudgedClip, judged_clips, scored, token_clips
from temporal.segment import MODALITIES

SMALLEST = 0.05  # scale
FEWEST = 8  # clips of either class without which a scale cannot be fitted


def calibrate(detector: Detector, clips: dict[str, list[TrainClip]], run: Run) -> None:
    """Fit the weight of each opinion, then scale and shift of each modality's logit.

    Both classes have equal weight: a score of 0.5 means that the clip is as likely under either.
    """
    if not clips["calibration"]:
        run.log(calibrate="none", note="no clips to calibrate on: scores are left as they are")
        return
    detector.eval()
    own, stopped = (
        token_clips(detector, clips[s], run, versions=0) for s in ("calibration", "val")
    )
    fit_weights(detector, judged_clips(detector, [*own, *stopped], run), run)
    logits, truths = scored(detector, own, run)
    rows = detector.calibration.clone().cpu()
    for column, modality in enumerate(MODALITIES):
        if calibrated_rows(detector, modality):
            continue
        known = (truths[:, column] != UNKNOWN) & ~logits[:, column].isnan()
        rows[column] = _fit(logits[known, column], truths[known, column], modality, run)
    detector.calibration.copy_(rows)


def fit_weights(detector: Detector, clips: Sequence[JudgedClip], run: Run) -> None:
    """Fit the weights of the opinions, each modality separately (stacking, Wolpert 1992).

    On clips that trained no expert: an opinion that overfits its training clips has large logits
    there, and would outweigh one that generalises to unseen people and generators.
    """
    for column, modality in enumerate(MODALITIES):
        own = _rows(detector, modality, "step")
        indices = list(own.values())
        labelled = [_labelled_steps(c, indices, column) for c in clips if bool(c.judged[column])]
        labelled = [(opinions, truth) for opinions, truth in labelled if len(truth)]
        labels = torch.tensor([float(truth.max()) for _, truth in labelled])
        if min(labels.sum(), (1 - labels).sum()) < FEWEST:
            continue
        masks = [torch.ones(1, len(truth), dtype=torch.bool) for _, truth in labelled]
        pairs = [
            (opinions[None], mask) for (opinions, _), mask in zip(labelled, masks, strict=True)
        ]
        means = torch.cat([clip_means(*pair) for pair in pairs])  # (N, K)
        peaks = torch.cat([clip_peaks(*pair, detector.config.peak_steps) for pair in pairs])
        clip = _stacked(means, peaks - means, labels, torch.ones(len(labels)))
        steps = torch.tensor([len(truth) for _, truth in labelled])
        every = means.repeat_interleave(steps, dim=0)  # (sum of T, K)
        step = _stacked(
            every,
            torch.cat([opinions for opinions, _ in labelled]) - every,
            torch.cat([truth for _, truth in labelled]),
            (1 / steps).repeat_interleave(steps),  # every clip has the same weight, long or short
        )
        device = detector.biases.device
        detector.clip_weights[indices], detector.biases[0, column] = clip[0].to(device), clip[1]
        detector.step_weights[indices], detector.biases[1, column] = step[0].to(device), step[1]
        for kind, (weights, _) in (("clips", clip), ("steps", step)):
            named = zip(own, weights.tolist(), strict=True)
            run.log(weights=modality, of=kind, fake=int(labels.sum()), real=int((1 - labels).sum()),
                    **{name: [round(v, 3) for v in pair] for name, pair in named})  # fmt: skip
    for modality in MODALITIES:
        _weigh_whole(detector, clips, modality, run)
        leave_whole_to_calibrated(detector, modality)
        _join_others(detector, clips, modality, run)
        leave_steps_to_localizer(detector, modality)


def _join_others(detector: Detector, clips: Sequence[JudgedClip], modality: str, run: Run) -> None:
    """Weigh the opinions that a modality's calibrated one names as joined beside it (stacking).

    Only their means over a clip count, and the bias is that of even odds.
    """
    rows, column = calibrated_rows(detector, modality), MODALITIES.index(modality)
    joined = {name for row in rows for name in detector.opinions[row].joined}
    rows += [i for i, o in enumerate(detector.opinions) if o.name in joined]
    judged = [c for c in clips if bool(c.judged[column]) and (c.targets[:, column] >= 0).all()]
    labels = torch.tensor([float(c.targets[:, column].max()) for c in judged])
    if not joined or min(labels.sum(), (1 - labels).sum()) < FEWEST:
        return
    means = torch.stack([c.opinions[:, rows].mean(dim=0) for c in judged])
    start = torch.tensor([[1.0, 0.0]] * len(rows))
    factors = _fitted(lambda z: z.sum(dim=1), means, labels, start)
    for weights in (detector.clip_weights, detector.step_weights):
        weights[rows, 0] = factors[:, 0].to(weights)
    detector.biases[:, column] = factors[:, 1].sum()
    named = {
        detector.opinions[row].name: round(float(f), 3)
        for row, f in zip(rows, factors[:, 0], strict=True)
    }
    run.log(joined=modality, **named)


def _rows(detector: Detector, modality: str, level: Level) -> dict[str, int]:
    """Return the weight rows of a modality's opinions of one level, by the opinions' names."""
    return {
        opinion.name: index
        for index, opinion in enumerate(detector.opinions)
        if (opinion.modality, opinion.level) == (modality, level) and not opinion.localizes
    }


def _weigh_whole(detector: Detector, clips: Sequence[JudgedClip], modality: str, run: Run) -> None:
    """Weigh each clip-level opinion as much as all of its modality's step-level ones together.

    Equal weight means that the weighted logits have the same standard deviation over the clips.
    Clip-level opinions cannot be stacked as the others are: the held-out sources have either
    genuine or generated faces, and sharpness separates the sources by that alone; Whisper, fitted
    together with the step-level opinions, outweighed them.
    """
    column = MODALITIES.index(modality)
    indices = _rows(detector, modality, "clip")
    for index in indices.values():
        detector.clip_weights[index] = detector.step_weights[index] = 0.0
    device = detector.biases.device
    seen = [c.opinions[None].to(device) for c in clips if bool(c.judged[column])]
    if not (seen and indices):
        return
    masks = [torch.ones(x.shape[:2], dtype=torch.bool, device=device) for x in seen]
    pairs = list(zip(seen, masks, strict=True))
    others = torch.cat([detector.clip_logits(*pair)[:, column] for pair in pairs]).std()
    means = torch.cat([clip_means(*pair) for pair in pairs])
    for name, index in indices.items():
        spread = means[:, index].std()
        if float(spread) > 0:
            detector.clip_weights[index, 0] = others / spread
        weight = round(float(detector.clip_weights[index, 0]), 3)
        run.log(weights=modality, of="clips", **{name: weight})


def _labelled_steps(clip: JudgedClip, rows: list[int], column: int) -> tuple[Tensor, Tensor]:
    """Return opinions (T, K) and labels (T,) of the steps whose label of a modality is known."""
    known = clip.targets[:, column] != UNKNOWN
    return clip.opinions[known][:, rows], clip.targets[known, column]


def _stacked(whole: Tensor, local: Tensor, labels: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights (K, 2) of two features (N, K) and the bias, fitted to labels (N,)."""
    x = torch.cat([whole, local], dim=1)
    start = torch.tensor([[0.5, 0.0]] * x.shape[1])
    factors = _fitted(lambda z: z.sum(dim=1), x, labels, start, weight)
    return torch.stack(factors[:, 0].chunk(2), dim=1), factors[:, 1].sum()


def _fit(logits: Tensor, labels: Tensor, name: str, run: Run) -> Tensor:
    """Return (scale, shift), fitted to one modality's logits with equal weight of both classes."""
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
    """Return the scale (> 0) and shift of least class-balanced cross-entropy on 0/1 labels."""
    start = torch.tensor([[1.0, 0.0]])
    scale, shift = _fitted(lambda z: z[:, 0], logits[:, None], labels, start)[0].tolist()
    return scale, shift


def _fitted(
    join: Callable[[Tensor], Tensor],
    logits: Tensor,
    labels: Tensor,
    start: Tensor,
    weight: Tensor | None = None,
) -> Tensor:
    """Return the scales (> 0) and shifts (K, 2) of logits (N, K) that fit the joint logit best."""
    x, y = logits.double(), labels.double()
    weight = _weights(y, weight)
    scale = start[:, 0].double().clamp(min=SMALLEST).log().requires_grad_()
    shift = start[:, 1].double().clone().requires_grad_()
    optimizer = torch.optim.LBFGS([scale, shift], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = _entropy(join, x, y, weight, (scale.exp(), shift))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return torch.stack([scale.exp().clamp(min=SMALLEST), shift], dim=1).detach().float()


def _weights(labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return clip weights (N,) that sum to 1/2 over each class."""
    weight = torch.ones_like(labels) if weight is None else weight.double()
    fake = weight * labels
    return fake / (2 * fake.sum()) + (weight - fake) / (2 * (weight - fake).sum())


def _entropy(
    join: Callable[[Tensor], Tensor],
    logits: Tensor,
    labels: Tensor,
    weight: Tensor,
    factors: Sequence[Tensor],
) -> Tensor:
    """Return the cross-entropy of the joint logit of `factors`: scale and shift, (K,) each.

    NaN logits are left out. A weak prior keeps the scales finite where classes are separable.
    """
    scale, shift = factors
    missing = logits.isnan()
    scaled = (logits.masked_fill(missing, 0.0) * scale + shift).masked_fill(missing, torch.nan)
    entropy = functional.binary_cross_entropy_with_logits(join(scaled), labels, reduction="none")
    return (weight * entropy).sum() + 1e-3 * scale.square().sum() + 1e-4 * shift.square().sum()
