"""The sound tracks of a file: which of them are judged, over which seconds, and their logits."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from extractors.clock import count_steps
from extractors.media import STEP_RATE, MediaInfo
from pipelines.detection.detector import Detector
from pipelines.detection.notes import Notes
from pipelines.detection.timelines import Timeline, clip_logit, within
from pipelines.detection.visibility import VisibilityConfig, heard_steps, is_silent, spoken_steps
from temporal.segment import MODALITIES

AUDIO = MODALITIES.index("audio")


def of_own_length(timelines: list[Timeline], info: MediaInfo) -> list[Timeline]:
    """Return the timelines cut to their tracks' length, without the padding of a shorter track."""
    cut = []
    for timeline in timelines:
        if timeline.heard:
            span = info.audio_spans[timeline.sound] if info.audio_spans else None
        else:
            span = info.video_span
        if span is not None:
            timeline = within(timeline, round(span[0] * STEP_RATE), count_steps(span[1]))
        cut += [timeline] if len(timeline.opinions) else []
    return cut


def judged_sounds(
    timelines: list[Timeline],
    min_steps: int,
    visible: VisibilityConfig,
    info: MediaInfo,
    notes: Notes,
) -> list[Timeline]:
    """Return the timelines of the sound tracks that are long enough and hold enough speech."""
    judged, left_out = [], []
    for timeline in timelines:
        if not timeline.heard or timeline.loudness is None:
            continue
        name = "the sound"
        if len(info.audio_tracks) > 1:
            name = f"sound track {info.audio_tracks[timeline.sound]}"
        heard = heard_steps(timeline, visible)
        if is_silent(timeline):
            why = f"{name} is silent"
            notes.warn(f"{why} and was not judged")
        elif len(timeline.opinions) < min_steps:
            why = f"{name} is too short"
            notes.warn(f"{why} to be judged")
        elif not heard.any():
            why = f"no speech in {name}"
            notes.warn(f"no speech: {name} was not judged")
        else:
            judged.append(timeline)
            if not heard.all():
                seconds = int((~heard).sum()) / STEP_RATE
                notes.warn(f"{seconds:.1f} s of {name} hold no speech and were not judged")
            continue
        left_out.append(why)
        if timeline.sound == 0:  # lips are compared with this one
            notes.lacks("sync", why)
    notes.lacks("audio", "; ".join(left_out) or "the sound is too short")
    return judged


def sound_logits(
    sounds: list[Timeline],
    detector: Detector,
    visible: VisibilityConfig,
    info: MediaInfo,
    notes: Notes,
) -> list[float]:
    """Return the clip logit of each sound track, over the steps near speech."""
    logits = [clip_logit(s, AUDIO, detector, heard_steps(s, visible)) for s in sounds]
    if len(sounds) > 1:
        scores = ", ".join(
            f"{info.audio_tracks[sound.sound]}: {_calibrated(logit, AUDIO, detector):.2f}"
            for sound, logit in zip(sounds, logits, strict=True)
        )
        notes.warn(f"of the sound tracks, the most suspect one counts ({scores})")
    return logits


def first_speech(timelines: list[Timeline], visible: VisibilityConfig) -> Tensor | None:
    """Return a mask (T,) of speech in the file's first sound track; None: there is no sound."""
    for timeline in timelines:
        if timeline.heard and timeline.loudness is not None and timeline.sound == 0:
            speech = torch.zeros(max(t.stop for t in timelines), dtype=torch.bool)
            spoken = spoken_steps(timeline, visible) & heard_steps(timeline, visible)
            speech[timeline.start : timeline.stop] = spoken
            return speech
    return None


def _calibrated(logit: float, modality: int, detector: Detector) -> float:
    """Return the score of a clip logit of one modality."""
    scale, shift = detector.calibration[modality].tolist()
    return float(1 / (1 + np.exp(-(logit * scale + shift))))
