"""The judgement on a file's timelines: its scores, its verdict, and the warnings on both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from extractors.media import MediaInfo
from pipelines.detection.credentials import credentials_warning, with_credentials
from pipelines.detection.crowd import crowd_of
from pipelines.detection.curves import file_curves
from pipelines.detection.detector import Detector
from pipelines.detection.judge_config import JudgeConfig
from pipelines.detection.notes import Notes
from pipelines.detection.pictures import (
    face_rows,
    judged_pictures,
    known_share,
    looked_at,
    picture_logits,
    usable_faces,
    weighted_by_bits,
)
from pipelines.detection.result import Crowd, Decision, Face, NotJudged
from pipelines.detection.sounds import first_speech, judged_sounds, of_own_length, sound_logits
from pipelines.detection.speaker import speaker_of
from pipelines.detection.timelines import Timeline
from pipelines.detection.visibility import heard_steps
from temporal.segment import MODALITIES, Segment

VISUAL, AUDIO, SYNC = range(len(MODALITIES))


@dataclass(frozen=True, eq=False)
class Judgement:
    """The scores of a file, its verdict, and the curves that segments are decoded from."""

    verdict: Decision
    scores: dict[str, float | None]  # score, visual_score, audio_score, sync_score
    not_judged: NotJudged
    timeline: npt.NDArray[np.float32]  # (T, 3), NaN: not judged
    curves: tuple[Tensor, Tensor, Tensor]  # (T, 3), (T, K, 3), (T, K, 3, 2): for `decode_segments`
    streams: frozenset[str]
    faces: list[Face]
    crowd: Crowd
    warnings: list[str]


def decide(
    timelines: list[Timeline],
    detector: Detector,
    config: JudgeConfig,
    info: MediaInfo,
    read: Sequence[str] = (),
) -> Judgement:
    """Return the judgement on a file's timelines.

    The visual score is that of the most suspicious face, the audio score that of the most
    suspicious sound track. The sync score is the speaker's: the face whose lips fit the first sound
    track best.

    Args:
        timelines: of every face, scene and sound track.
        detector: what judged them.
        config: the least that can be judged, and the thresholds.
        info: the properties of the file.
        read: the warnings of whatever read the file; they are not repeated.
    """
    signed, grounds, notes = credentials_warning(info.credentials), Notes(), Notes()
    notes.without_tracks(info, read)
    timelines = of_own_length(timelines, info)
    sounds = judged_sounds(timelines, config.min_steps, config.visible, info, notes)
    pictures = judged_pictures(timelines, detector, config, notes)
    followed = [t for t in timelines if t.track is not None]
    crowd = crowd_of(followed, usable_faces(timelines, config), notes)
    pictures = weighted_by_bits(pictures, info, detector, config, notes)
    seen = looked_at(pictures, detector, notes)
    logits = picture_logits(seen, detector, config, notes)
    known = max((known_share(t, info, config) for t in seen), default=0.0)
    speech = first_speech(timelines, config.visible)
    speaker, fit_steps, sync = speaker_of(pictures, speech, detector, config, notes)
    clip = torch.full((len(MODALITIES),), torch.nan)
    if logits:
        clip[VISUAL] = max(logits)
    if sounds:
        clip[AUDIO] = max(sound_logits(sounds, detector, config.visible, info, notes))
    if speaker is not None:
        clip[SYNC] = sync
    probabilities = detector.calibrated(clip.to(detector.calibration.device)).tolist()
    names = (*(f"{modality}_score" for modality in MODALITIES), "score")
    scores = {n: None if p != p else round(p, 4) for n, p in zip(names, probabilities, strict=True)}
    judged = [(t, VISUAL, torch.ones(len(t.opinions), dtype=torch.bool)) for t in seen]
    judged += [(sound, AUDIO, heard_steps(sound, config.visible)) for sound in sounds]
    judged += [(speaker, SYNC, fit_steps)] if speaker is not None else []
    curves = file_curves(max((t.stop for t in timelines), default=0), judged, detector)
    return Judgement(
        verdict=with_credentials(
            _verdict(scores, known if pictures else 1.0, config, grounds), info.credentials
        ),
        scores=scores,
        not_judged=notes.reasons(scores),
        timeline=curves[0].numpy(),
        curves=curves,
        streams=frozenset().union(*(t.streams for t in (*pictures, *sounds))),
        faces=face_rows(seen, logits, detector),
        crowd=crowd,
        # what a verdict rests on stands before what else is to be known
        warnings=[*([] if signed is None else [signed]), *grounds.warnings, *notes.warnings],
    )


def with_segments(verdict: Decision, segments: Sequence[Segment]) -> tuple[Decision, list[str]]:
    """Return a verdict that takes account of the reported segments, and a warning if it did."""
    if verdict == "real" and segments:
        return "inconclusive", ["a stretch looks fake, though the file as a whole does not"]
    return verdict, []


def _verdict(
    scores: dict[str, float | None], known: float, config: JudgeConfig, notes: Notes
) -> Decision:
    """Return the verdict; known: how much of the faces there are was judged, 0 to 1."""
    score, sync = scores["score"], scores["sync_score"]
    apart = sync is not None and sync >= config.apart
    if apart:
        notes.warn(
            f"lips and sound hardly fit ({sync:.2f}): the score takes no account of that, since "
            "one in ten genuine clips is like it"
        )
    if score is None:
        notes.warn("nothing in the file could be judged")
        return "inconclusive"
    low, high = config.uncertain
    if low < score < high:
        notes.warn(f"the score {score:.2f} lies between {low} and {high}: it decides nothing")
        return "inconclusive"
    if known < 0.5 and (scores["audio_score"] or 0.0) < high:
        notes.warn("too little of the faces can be judged for a verdict")
        return "inconclusive"
    if score >= high:
        return "fake"
    return "inconclusive" if apart else "real"
