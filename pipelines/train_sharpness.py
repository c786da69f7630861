"""Clips in, the rule that tells whether a face is as sharp as its size promises out."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pipelines.batches import TrainClip
from pipelines.dataset_records import WHOLE
from pipelines.detector import Detector
from pipelines.fitting import Run
from temporal.sharpness import rings

LONGEST = 150  # steps of a clip that count
STREAMS = ("appearance", "size")


def train_sharpness(detector: Detector, clips: Sequence[TrainClip], run: Run) -> None:
    """Fit the sharpness judge on genuine clips and on those that generators drew throughout.

    Forgeries of our own making keep the sharpness of what they are made of.
    """
    judge = detector.sharpness
    if run.finished("sharpness", judge):
        return
    chosen = [c for c in clips if set(STREAMS) <= c.names and c.sample.visual in ((), WHOLE)]
    chosen = [c for c in chosen if not c.sample.method.startswith("forged")]
    labels = torch.tensor([float(c.sample.visual == WHOLE) for c in chosen])
    found, sizes = [], []
    for clip in chosen:
        streams = clip.pictures(0, min(clip.steps, LONGEST), STREAMS)
        found.append(rings(streams["appearance"][None].to(run.device))[0].mean(dim=0).cpu())
        sizes.append(streams["size"][0])
    run.log(stage="sharpness", fake=int(labels.sum()), real=int((1 - labels).sum()))
    if 0 < labels.sum() < len(labels):
        judge.to("cpu").fit(torch.stack(found), torch.stack(sizes), labels)
    detector.to(run.device)
    run.finish("sharpness", judge)
