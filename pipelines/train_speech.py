"""Clips in, the rule that tells whether a voice varies as a genuine one does out."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pipelines.batches import TrainClip, balanced_weights
from pipelines.dataset_records import WHOLE
from pipelines.detector import Detector
from pipelines.fitting import Run
from temporal.experts import normalise
from temporal.speech import variation

LONGEST = 100  # steps of a clip that count
SHORTEST = 10


@torch.no_grad()
def train_speech(detector: Detector, clips: Sequence[TrainClip], run: Run) -> None:
    """Fit the judge of speech on genuine sound and on what synthesisers made throughout.

    After the sound expert has learned: it listens to its tokens. Sources and generators weigh as
    they are drawn when an expert is taught. Forgeries of our own making are left out: most are
    short stretches, of which it knows nothing.
    """
    judge = detector.speech
    if run.finished("speech", judge):
        return
    chosen = [c for c in clips if "mel" in c.names and c.sample.audio in ((), WHOLE)]
    chosen = [c for c in chosen if not c.sample.method.startswith("forged")]
    chosen = [c for c in chosen if c.steps >= SHORTEST]
    labels = torch.tensor([float(c.sample.audio == WHOLE) for c in chosen])
    expert, found = detector.experts["mel"].eval(), []
    for clip in chosen:
        mel = clip.mel(0, min(clip.steps, LONGEST), None)[None].to(run.device)
        tokens = expert(normalise("mel", mel))
        heard = torch.ones(tokens.shape[:2], dtype=torch.bool, device=run.device)
        found.append(variation(tokens, heard)[0].mean(dim=0).cpu())
    run.log(stage="speech", fake=int(labels.sum()), real=int((1 - labels).sum()))
    if 0 < labels.sum() < len(labels):
        judge.fit(torch.stack(found), labels, balanced_weights(chosen, "audio"))
    run.finish("speech", judge)
