"""The faces and scenes of a file: which of them are judged, how far they count, their logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from extractors.media import STEP_RATE, MediaInfo
from pipelines.detection.compression import believed, bits_a_pixel, faded
from pipelines.detection.detector import Detector
from pipelines.detection.judge_config import JudgeConfig
from pipelines.detection.notes import Notes
from pipelines.detection.result import Face
from pipelines.detection.timelines import Timeline, clip_logit
from pipelines.detection.visibility import (
    detailed,
    lit,
    motion_warnings,
    visible_share,
    without_motion,
)
from temporal.segment import MODALITIES

VISUAL = MODALITIES.index("visual")
ENCODED = "portrait"  # the stream that fast mode leaves out


def judged_pictures(
    timelines: Sequence[Timeline], detector: Detector, config: JudgeConfig, notes: Notes
) -> list[Timeline]:
    """Return the timelines of faces, or scenes, that can be judged."""
    faces = [t for t in timelines if t.track is not None]
    usable = usable_faces(timelines, config)
    if faces and not usable:
        notes.warn("no face is large and long enough for the picture to be judged")
    if not usable:
        why = _no_face(faces, config)
        notes.lacks("visual", why)
        notes.lacks("sync", why)
    if any((t.face_size or 0) < config.small_face for t in usable):
        notes.warn("a face is small: its score is less reliable")
    if any((t.yaw or 0) > config.profile for t in usable):
        notes.warn("a face is seen from the side: its score is less reliable")
    for face in usable:
        notes.warn(*motion_warnings(face, config.visible))
    usable = [without_motion(t, detector.opinions, config.visible) for t in usable]
    scenes = [t for t in timelines if t.scene and len(t.opinions) >= config.min_steps]
    if detector.config.scenes:
        return usable + scenes
    if scenes and not faces:
        notes.warn("no face was found, and these weights judge faces only")
    return usable


def usable_faces(timelines: Sequence[Timeline], config: JudgeConfig) -> list[Timeline]:
    """Return the faces that are large and long enough."""
    return [
        t
        for t in timelines
        if t.track is not None
        and len(t.opinions) >= config.min_steps
        and (t.face_size or 0) >= config.min_face
    ]


def _no_face(faces: Sequence[Timeline], config: JudgeConfig) -> str:
    """Return why none of the faces is judged."""
    if not faces:
        return "no face was found"
    if all((t.face_size or 0) < config.min_face for t in faces):
        return f"no face is larger than {config.min_face:.0f} pixels"
    if all(len(t.opinions) < config.min_steps for t in faces):
        return f"no face is seen for {config.min_steps / STEP_RATE:.1f} s"
    return "no face is large and long enough"


def weighted_by_bits(
    pictures: list[Timeline],
    info: MediaInfo,
    detector: Detector,
    config: JudgeConfig,
    notes: Notes,
) -> list[Timeline]:
    """Return the pictures with opinions on fine detail weighted by the file's bit rate."""
    bits = bits_a_pixel(info)
    shares = [
        1.0 if t.face_size is None else believed(bits, t.face_size, config.detail) for t in pictures
    ]
    if min(shares, default=1.0) < 0.5:
        notes.warn(
            "the picture is compressed hard: how faces look says little, and their score is near "
            "that of nothing known"
        )
    return [faded(t, detector.opinions, share) for t, share in zip(pictures, shares, strict=True)]


def looked_at(pictures: list[Timeline], detector: Detector, notes: Notes) -> list[Timeline]:
    """Return the pictures on which at least one visual opinion of non-zero weight applies."""
    seen = [t for t in pictures if detector.speaks("visual", t.streams)]
    if pictures and not seen:
        if any(detector.speaks("visual", t.streams | {ENCODED}) for t in pictures):
            why = (
                "fast mode (--fast) leaves out the picture encoder, by which alone these weights "
                "judge how faces look"
            )
        else:
            why = "nothing that these weights judge faces by was extracted"
        notes.warn(f"{why}: the picture has no score")
        notes.lacks("visual", why)
    return seen


def picture_logits(
    pictures: list[Timeline], detector: Detector, config: JudgeConfig, notes: Notes
) -> list[float]:
    """Return the clip logit of each picture; that of a face that can hardly be seen is near 0.

    Near 0 is near even odds once it is calibrated.
    """
    if any(lit(t, config.visible) < 1 for t in pictures):
        notes.warn("a face is too dark or too bright to be judged well: its score says less")
    if any(detailed(t, config.visible) < 1 for t in pictures):
        notes.warn("a face is too blurred to be judged well: its score says less")
    scale, shift = detector.calibration[VISUAL].tolist()
    logits = []
    for picture in pictures:
        share = visible_share(picture, config.visible)
        logit = clip_logit(picture, VISUAL, detector, None)
        logits.append(logit * share - shift / scale * (1 - share))
    return logits


def known_share(picture: Timeline, info: MediaInfo, config: JudgeConfig) -> float:
    """Return from 0 to 1 how much of a picture can be judged, by its bits and what can be seen."""
    if picture.face_size is None:
        return 1.0
    bits = believed(bits_a_pixel(info), picture.face_size, config.detail)
    return min(bits, visible_share(picture, config.visible))


def face_rows(pictures: list[Timeline], logits: list[float], detector: Detector) -> list[Face]:
    """Return the row of each face that was judged, by its clip logit."""
    scale, shift = detector.calibration[VISUAL].tolist()
    return [
        {
            "track": t.track,
            "start": t.start / STEP_RATE,
            "end": t.stop / STEP_RATE,
            "score": round(float(1 / (1 + np.exp(-(logit * scale + shift)))), 4),
        }
        for t, logit in zip(pictures, logits, strict=True)
        if t.track is not None
    ]
