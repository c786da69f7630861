"""Closed-form fits of the opinions on sharpness, steadiness and speech."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipelines.data.manifest import WHOLE
from pipelines.detection.detector import Detector
from pipelines.train.batches import balanced_weights
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run
from temporal.experts import normalise
from temporal.opinions.discriminant import Discriminant
from temporal.opinions.sharpness import rings
from temporal.opinions.speech import variation
from temporal.opinions.steadiness import changes

LONGEST_CLIP = {"flow": 150, "mel": 100}  # steps of a clip that count


SHORTEST = 10


def train_steadiness(detector: Detector, clips: Sequence[TrainClip], run: Run) -> None:
    """Fit the judge of steadiness on genuine faces and on those that generators drew throughout.

    After the flow expert has learned: it sees its tokens.
    """
    expert = detector.experts["flow"].eval()

    def change(clip: TrainClip) -> Tensor:
        flow, seen = begin(clip, "flow", run)
        return changes(expert(normalise("flow", flow)), seen)

    if not run.finished("steadiness", detector.steadiness):
        chosen = whole_clips(clips, "flow", "visual")
        fit_judge("steadiness", detector.steadiness, change, chosen, "visual", run)


def train_speech(detector: Detector, clips: Sequence[TrainClip], run: Run) -> None:
    """Fit the judge of speech on genuine sound and on what synthesisers made throughout.

    After the sound expert has learned: it listens to its tokens.
    """
    expert = detector.experts["mel"].eval()

    def vary(clip: TrainClip) -> Tensor:
        mel, heard = begin(clip, "mel", run)
        return variation(expert(normalise("mel", mel)), heard)

    if not run.finished("speech", detector.speech):
        chosen = whole_clips(clips, "mel", "audio")
        fit_judge("speech", detector.speech, vary, chosen, "audio", run)


def whole_clips(clips: Sequence[TrainClip], stream: str, modality: str) -> list[TrainClip]:
    """Return the clips whose modality is genuine or synthetic throughout, and long enough.

    Forgeries of our own making are left out: most are short stretches, of which these judges know
    nothing.
    """
    return [
        c
        for c in clips
        if stream in c.names
        and getattr(c.sample, modality) in ((), WHOLE)
        and not c.sample.method.startswith("forged")
        and c.steps >= SHORTEST
    ]


def begin(clip: TrainClip, stream: str, run: Run) -> tuple[Tensor, Tensor]:
    """Return a stream (1, L, ...) of a clip's first seconds, and a mask (1, L) of its steps."""
    steps = min(clip.steps, LONGEST_CLIP[stream])
    given = clip.chunk(0, steps, (stream,), None)[stream][None].to(run.device)
    return given, torch.ones(1, steps, dtype=torch.bool, device=run.device)


@torch.no_grad()
def fit_judge(
    stage: str,
    judge: Discriminant,
    describe: Callable[[TrainClip], Tensor],
    chosen: Sequence[TrainClip],
    modality: str,
    run: Run,
) -> None:
    """Fit a judge on what describes a clip's steps (1, L, F): the mean over the clip.

    Sources and generators weigh as they are drawn when an expert is taught.
    """
    labels = torch.tensor([float(getattr(c.sample, modality) == WHOLE) for c in chosen])
    run.log(stage=stage, fake=int(labels.sum()), real=int((1 - labels).sum()))
    if 0 < labels.sum() < len(labels):
        found = torch.stack([describe(clip)[0].mean(dim=0).cpu() for clip in chosen])
        judge.fit(found, labels, balanced_weights(chosen, modality))
    run.finish(stage, judge)


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
