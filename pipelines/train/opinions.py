"""Training of the opinions, each by the method that its row of the table names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from pipelines.config import ConfigError
from pipelines.data.manifest import WHOLE
from pipelines.detection.detector import Detector
from pipelines.detection.opinions import Opinion, streams_read
from pipelines.metrics.classification import auc
from pipelines.train.batches import balanced_weights
from pipelines.train.calibrate import fit_platt
from pipelines.train.clips import TrainClip
from pipelines.train.experts import OpinionOfStreams, train_expert, train_steps
from pipelines.train.fit import Run
from pipelines.train.recipe import TrainConfig
from temporal.opinions.discriminant import ClosedFormOpinion

LONGEST_CLIP = {"visual": 150, "audio": 100, "sync": 150}  # steps of a clip that count
SHORTEST = 10  # steps
FOLDS = 5  # of sources


@runtime_checkable
class Borrower(Protocol):
    """An opinion's network that contains layers of a published network."""

    def borrow(self, path: Path) -> None:
        """Load these layers from the published network's file."""


@runtime_checkable
class PairLearner(Protocol):
    """An opinion's network that is also trained on pairs of a fake and its original."""

    def fit_pairs(self, found: Tensor, labels: Tensor, weights: Tensor, pairs: Tensor) -> None:
        """Fit to clips' features (N, F), and to pairs (P, 2) of their rows: fake, original."""

    def logits(self, found: Tensor) -> Tensor:
        """Return the logits (N,) of clips' features (N, F)."""

    def rescale(self, scale: float, shift: float) -> None:
        """Replace the network's logits by `scale * logit + shift`."""


def train_opinions(
    detector: Detector,
    clips: dict[str, list[TrainClip]],
    config: TrainConfig,
    run: Run,
    closed_form: bool,
) -> None:
    """Train every opinion of the detector that has a stage and trainable parameters.

    closed_form: only the opinions fitted in closed form, after the experts are trained; else only
        those trained by gradient descent, alone or with their expert.
    """
    for opinion in detector.opinions:
        if opinion.name not in config.stages or opinion.fit is None:
            continue
        if (opinion.fit == "in closed form") != closed_form:
            continue
        if opinion.fit == "with its expert":
            train_expert(
                opinion.name, opinion.modality, detector, clips, config.stage(opinion.name), run,
                config.options.of(opinion.name),
            )  # fmt: skip
        elif opinion.fit == "by gradient":
            probe = OpinionOfStreams(opinion, detector)
            train_steps(
                opinion.name, probe, opinion.reads, opinion.modality,
                (clips["train"], clips["val"]), config.stage(opinion.name), run,
            )  # fmt: skip
        else:
            fit_in_closed_form(opinion, detector, clips["train"], config.published, run)


@torch.no_grad()
def fit_in_closed_form(
    opinion: Opinion,
    detector: Detector,
    clips: Sequence[TrainClip],
    published: dict[str, str],
    run: Run,
) -> None:
    """Fit an opinion in closed form on the mean of its step features over each clip.

    Sources and generators have the weights by which clips are drawn to train an expert. An opinion
    that borrows from a published network is skipped if the recipe does not name that file.

    Raises:
        ConfigError: the opinion's network is not one that is fitted in closed form.
        AvdetectError: the published network cannot be read.
    """
    network = detector.network(opinion.name)
    if not isinstance(network, ClosedFormOpinion):
        raise ConfigError(f"the opinion {opinion.name} cannot be fitted in closed form")
    borrows = isinstance(network, Borrower)
    if (borrows and opinion.name not in published) or run.finished(opinion.name, network):
        return
    if isinstance(network, Borrower):
        network.borrow(Path(published[opinion.name]))
    chosen = whole_clips(clips, opinion)
    network.prepare(_inputs(opinion, detector, clip, run) for clip in chosen)
    labels = torch.tensor([float(getattr(c.sample, opinion.modality) == WHOLE) for c in chosen])
    run.log(stage=opinion.name, fake=int(labels.sum()), real=int((1 - labels).sum()))
    if 0 < labels.sum() < len(labels):
        features = torch.stack(
            [
                network.describe(*_inputs(opinion, detector, clip, run))[0].mean(dim=0).cpu()
                for clip in chosen
            ]
        )
        weights = balanced_weights(chosen, opinion.modality)
        network.cpu()
        if isinstance(network, PairLearner):
            fit_by_pairs(network, chosen, features, labels, weights, run)
        else:
            network.fit(features, labels, weights)
        network.to(run.device)
    run.finish(opinion.name, network)


def fit_by_pairs(
    network: PairLearner,
    clips: Sequence[TrainClip],
    features: Tensor,
    labels: Tensor,
    weights: Tensor,
    run: Run,
) -> None:
    """Fit to clips' features (N, F) and pairs, with calibration by cross-validation over sources.

    Logits of training clips are overconfident, and sources seen in training are easier than
    others: scale and shift (Platt 1999) are fitted to the logits of left-out folds of sources.
    """
    sources = sorted({clip.sample.source for clip in clips})
    fold_of = {source: place % FOLDS for place, source in enumerate(sources)}
    folds = torch.tensor([fold_of[clip.sample.source] for clip in clips])
    rows = {clip.sample.path: row for row, clip in enumerate(clips)}
    pairs = torch.tensor(
        [[row, rows[c.sample.pair]] for row, c in enumerate(clips) if c.sample.pair in rows],
        dtype=torch.long,
    ).reshape(-1, 2)
    left_out = torch.full((len(clips),), torch.nan)
    for fold in range(FOLDS):
        rest = torch.nonzero(folds != fold)[:, 0]
        if not 0 < labels[rest].sum() < len(rest) or len(rest) == len(clips):
            continue
        place = torch.full((len(clips),), -1).scatter(0, rest, torch.arange(len(rest)))
        inside = place[pairs]
        inside = inside[(inside >= 0).all(dim=1)]
        network.fit_pairs(features[rest], labels[rest], weights[rest], inside)
        left_out[folds == fold] = network.logits(features[folds == fold])
    network.fit_pairs(features, labels, weights, pairs)
    judged = ~left_out.isnan()
    if 0 < labels[judged].sum() < judged.sum():
        scale, shift = fit_platt(left_out[judged], labels[judged])
        network.rescale(scale, shift)
        area = auc(labels[judged].numpy(), left_out[judged].numpy())
        run.log(pairs=len(pairs), left_out_auc=round(area, 4), scale=round(scale, 4))


def whole_clips(clips: Sequence[TrainClip], opinion: Opinion) -> list[TrainClip]:
    """Return the long enough clips whose modality is genuine or synthetic throughout.

    Our own forgeries are left out: most are short stretches, which these clip-level opinions
    cannot see, and they keep the sharpness of their sources.
    """
    return [
        c
        for c in clips
        if streams_read(opinion) <= c.names
        and getattr(c.sample, opinion.modality) in ((), WHOLE)
        and not c.sample.method.startswith("forged")
        and c.steps >= SHORTEST
    ]


def _inputs(opinion: Opinion, detector: Detector, clip: TrainClip, run: Run) -> tuple[Tensor, ...]:
    """Return an opinion's inputs (1, L, ...) of a clip's first seconds, and the mask (1, L)."""
    steps = min(clip.steps, LONGEST_CLIP[opinion.modality])
    streams = {
        name: stream[None].to(run.device)
        for name, stream in clip.chunk(0, steps, sorted(streams_read(opinion)), None).items()
    }
    inputs = streams
    if opinion.source == "tokens":
        detector.experts.eval()
        inputs = {name: detector.expert_tokens(name, streams) for name in opinion.reads}
    mask = torch.ones(1, steps, dtype=torch.bool, device=run.device)
    return (*(inputs[name] for name in opinion.reads), mask)
