"""Which face speaks: the one whose lips fit the sound best, where lips and sound can be judged."""

from __future__ import annotations

import torch
from torch import Tensor

from extractors.media import STEP_RATE
from pipelines.detection.detector import Detector
from pipelines.detection.judge_config import JudgeConfig
from pipelines.detection.notes import Notes
from pipelines.detection.timelines import Timeline, clip_logit
from pipelines.detection.visibility import covered_steps, lip_steps, moving_steps
from temporal.segment import MODALITIES

SYNC = MODALITIES.index("sync")


def speaker_of(
    pictures: list[Timeline],
    speech: Tensor | None,
    detector: Detector,
    config: JudgeConfig,
    notes: Notes,
) -> tuple[Timeline | None, Tensor, float]:
    """Return the speaking face, where it was judged (T,), and its sync logit.

    Args:
        pictures: that are judged.
        speech: a mask (T,) of speech in the file's first sound track; None: there is no sound.
        detector: whose opinions they have.
        config: the least that can be judged.
        notes: to which warnings are added, and why no face was taken.
    """
    nothing = None, torch.zeros(0, dtype=torch.bool), 0.0
    faces = [t for t in pictures if "mouth" in t.streams]
    if speech is None or not faces:
        return nothing
    moving = [moving_steps(t, config.visible) for t in faces]
    lips = [lip_steps(t, config.visible) for t in faces]
    spoken = [speech[t.start : t.stop] for t in faces]
    if any(int((~inside).sum()) >= config.min_steps for inside in lips):
        notes.warn("lips outside the frame: whether they and the sound fit is not judged there")
    covered = [covered_steps(t, config.visible) for t in faces]
    hidden = max(int(steps.sum()) for steps in covered)
    if hidden >= config.min_steps:
        notes.warn(
            f"something seems to cover a mouth for {hidden / STEP_RATE:.1f} s: whether lips and "
            "sound fit is not judged there"
        )
    seen = [m & i & ~c for m, i, c in zip(moving, lips, covered, strict=True)]
    heard = [s & there for s, there in zip(spoken, seen, strict=True)]
    enough = [i for i, steps in enumerate(heard) if int(steps.sum()) >= config.min_speech]
    if not enough:
        why = _too_little(spoken, moving, config)
        notes.warn(f"{why} to judge whether lips and sound fit")
        notes.lacks("sync", why)
        return nothing
    best, index = min((clip_logit(faces[i], SYNC, detector, heard[i]), i) for i in enough)
    return faces[index], seen[index], best


def _too_little(spoken: list[Tensor], moving: list[Tensor], config: JudgeConfig) -> str:
    """Return what there is too little of in every face, by masks (T,) of its steps."""
    if all(int(s.sum()) < config.min_speech for s in spoken):
        return "too little speech with a face"
    both = [s & m for s, m in zip(spoken, moving, strict=True)]
    if all(int(steps.sum()) < config.min_speech for steps in both):
        return "too little motion of a face that speaks"
    return "too little of the lips of a face that speaks"
