"""Clips in, the rules that tell whether a voice varies as a genuine one does out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor
from torchaudio.functional import melscale_fbanks

from extractors.media import SAMPLE_RATE
from extractors.spectrogram import BANDS, WINDOW
from pipelines.batches import TrainClip, balanced_weights
from pipelines.dataset_records import WHOLE
from pipelines.detector import Detector
from pipelines.fitting import Run
from pipelines.whisper_file import read_whisper
from temporal.experts import normalise
from temporal.speech import Discriminant, variation

LONGEST = 100  # steps of a clip that count
SHORTEST = 10


def train_speech(detector: Detector, clips: Sequence[TrainClip], run: Run) -> None:
    """Fit the judge of speech on genuine sound and on what synthesisers made throughout.

    After the sound expert has learned: it listens to its tokens.
    """
    expert = detector.experts["mel"].eval()

    def vary(mel: Tensor, heard: Tensor) -> Tensor:
        return variation(expert(normalise("mel", mel)), heard)

    if not run.finished("speech", detector.speech):
        _fit("speech", detector.speech, vary, _whole_sounds(clips), run)


@torch.no_grad()
def train_whisper(detector: Detector, clips: Sequence[TrainClip], path: Path, run: Run) -> None:
    """Take Whisper's first layers from a file and fit what judges how their tokens spread.

    Raises:
        ValueError: the file does not hold Whisper base.
        FileNotFoundError: there is no such file.
    """
    judge = detector.whisper
    if run.finished("whisper", judge):
        return
    try:
        judge.stem.load_state_dict(read_whisper(path))
    except RuntimeError as error:
        raise ValueError(f"{path}: not the weights of Whisper base") from error
    judge.bands.copy_(whisper_bands())
    chosen = _whole_sounds(clips)
    levels = [judge.heard(_begin(clip, run)).mean(dim=(0, 2)) for clip in chosen]
    judge.level.copy_(torch.stack(levels).mean(dim=0))
    _fit("whisper", judge, judge.spread, chosen, run)


def whisper_bands() -> Tensor:
    """Return what each of our bands gives to each of Whisper's (80, 80), non-negative.

    Ours follow the HTK formula, Whisper's Slaney's with equal area; both are sums of the same 201
    frequencies, so that the one can be had from the other nearly, without a second spectrogram.
    """
    frequencies, top = WINDOW // 2 + 1, SAMPLE_RATE / 2
    given = melscale_fbanks(frequencies, 0.0, top, BANDS, SAMPLE_RATE)  # (201, 80)
    asked = melscale_fbanks(frequencies, 0.0, top, BANDS, SAMPLE_RATE, "slaney", "slaney")
    rows = [nnls(given.double().numpy(), row)[0] for row in asked.T.double().numpy()]
    return torch.from_numpy(np.stack(rows)).float()


def _whole_sounds(clips: Sequence[TrainClip]) -> list[TrainClip]:
    """Return the clips whose sound is genuine or synthetic throughout, and long enough.

    Forgeries of our own making are left out: most are short stretches, of which these judges know
    nothing.
    """
    return [
        c
        for c in clips
        if "mel" in c.names
        and c.sample.audio in ((), WHOLE)
        and not c.sample.method.startswith("forged")
        and c.steps >= SHORTEST
    ]


def _begin(clip: TrainClip, run: Run) -> Tensor:
    """Return the mel stream (1, L, 80, 4) of a clip's first seconds."""
    return clip.mel(0, min(clip.steps, LONGEST), None)[None].to(run.device)


@torch.no_grad()
def _fit(
    stage: str,
    judge: Discriminant,
    describe: Callable[[Tensor, Tensor], Tensor],
    chosen: Sequence[TrainClip],
    run: Run,
) -> None:
    """Fit a judge on what describes steps (1, L, F) of a mel stream: the mean over a clip.

    Sources and generators weigh as they are drawn when an expert is taught.
    """
    labels = torch.tensor([float(c.sample.audio == WHOLE) for c in chosen])
    run.log(stage=stage, fake=int(labels.sum()), real=int((1 - labels).sum()))
    if 0 < labels.sum() < len(labels):
        found = []
        for clip in chosen:
            mel = _begin(clip, run)
            heard = torch.ones(mel.shape[:2], dtype=torch.bool, device=run.device)
            found.append(describe(mel, heard)[0].mean(dim=0).cpu())
        judge.fit(torch.stack(found), labels, balanced_weights(chosen, "audio"))
    run.finish(stage, judge)
