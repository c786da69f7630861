"""Clips in, the rule that tells whether a voice varies as a genuine one does to Whisper out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor
from torchaudio.functional import melscale_fbanks

from extractors.media import SAMPLE_RATE
from extractors.spectrogram import BANDS, WINDOW
from pipelines.batches import TrainClip
from pipelines.detector import Detector
from pipelines.fitting import Run
from pipelines.train_judges import begin, fit_judge, whole_clips
from pipelines.whisper_file import read_whisper


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
    chosen = whole_clips(clips, "mel", "audio")
    levels = [judge.heard(begin(clip, "mel", run)[0]).mean(dim=(0, 2)) for clip in chosen]
    judge.level.copy_(torch.stack(levels).mean(dim=0))
    fit_judge("whisper", judge, lambda c: judge.spread(*begin(c, "mel", run)), chosen, "audio", run)


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
