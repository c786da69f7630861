"""The judgement on a file's timelines: its scores, its verdict, and the warnings on both."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from extractors.media import STEP_RATE, MediaInfo
from pipelines.detection.compression import believed, bits_a_pixel, faded
from pipelines.detection.credentials import credentials_warning, with_credentials
from pipelines.detection.curves import file_curves
from pipelines.detection.detector import Detector
from pipelines.detection.result import Decision, Face
from pipelines.detection.sounds import first_speech, judged_sounds, of_own_length, sound_logits
from pipelines.detection.timelines import Timeline, clip_logit
from pipelines.detection.visibility import (
    VisibilityConfig,
    crowd_warnings,
    detailed,
    heard_steps,
    lip_steps,
    lit,
    motion_warnings,
    moving_steps,
    visible_share,
    without_motion,
)
from temporal.segment import MODALITIES

VISUAL, AUDIO, SYNC = range(len(MODALITIES))


@dataclass(frozen=True)
class JudgeConfig:
    """The least that can be judged, and the thresholds of verdicts and segments."""

    # Scores between are inconclusive. At the upper threshold the false positive rate is below 0.1
    # on the real clips with picture and sound that calibrated the starter weights.
    uncertain: tuple[float, float] = (0.35, 0.64)
    apart: float = 0.9  # a sync score from here on rules out the verdict real
    # Scores of visual, audio and sync segments below which they are not reported: none of the 313
    # held-out real clips (16 minutes) has a segment above.
    segment_thresholds: tuple[float, float, float] = (0.8, 0.95, 0.9995)
    min_steps: int = 10  # of a face or the sound: 0.4 s
    min_speech: int = 25  # steps of speech with a face, to judge whether lips and sound fit
    min_face: float = 32.0  # pixels; smaller faces are not judged
    small_face: float = 64.0  # pixels; smaller faces are judged with a warning
    profile: float = 50.0  # degrees of yaw; faces turned farther are judged with a warning
    # Bits per cell (a 112th by a 112th of a face) at which fine detail has no weight and full
    # weight. In H.264 at CRF 23 one clip in ten has less than the second; at CRF 35 and half size
    # nearly all have less than the first.
    detail: tuple[float, float] = (0.03, 0.06)
    visible: VisibilityConfig = field(default_factory=VisibilityConfig)


@dataclass(frozen=True, eq=False)
class Judgement:
    """The scores of a file, its verdict, and the curves that segments are decoded from."""

    verdict: Decision
    scores: dict[str, float | None]  # score, visual_score, audio_score, sync_score
    timeline: npt.NDArray[np.float32]  # (T, 3), NaN: not judged
    curves: tuple[Tensor, Tensor, Tensor]  # (T, 3), (T, K, 3), (T, K, 3, 2): for `decode_segments`
    streams: frozenset[str]
    faces: list[Face]
    warnings: list[str]


def decide(
    timelines: list[Timeline], detector: Detector, config: JudgeConfig, info: MediaInfo
) -> Judgement:
    """Return the judgement on a file's timelines.

    The visual score is that of the most suspicious face, the audio score that of the most
    suspicious sound track. The sync score is the speaker's: the face whose lips fit the first sound
    track best.
    """
    signed = credentials_warning(info.credentials)
    warnings = [] if signed is None else [signed]
    timelines = of_own_length(timelines, info)
    sounds = judged_sounds(timelines, config.min_steps, config.visible, info, warnings)
    pictures = _pictures(timelines, detector, config, warnings)
    pictures = _believed(pictures, info, detector, config, warnings)
    looked_at = _looked_at(pictures, detector, warnings)
    logits = _picture_logits(looked_at, detector, config, warnings)
    speech = first_speech(timelines, config.visible)
    speaker, fit_steps, sync = _speaker(pictures, speech, detector, config, warnings)
    clip = torch.full((len(MODALITIES),), torch.nan)
    if logits:
        clip[VISUAL] = max(logits)
    if sounds:
        clip[AUDIO] = max(sound_logits(sounds, detector, config.visible, info, warnings))
    if speaker is not None:
        clip[SYNC] = sync
    probabilities = detector.calibrated(clip.to(detector.calibration.device)).tolist()
    names = (*(f"{modality}_score" for modality in MODALITIES), "score")
    scores = {n: None if p != p else round(p, 4) for n, p in zip(names, probabilities, strict=True)}
    judged = [(t, VISUAL, torch.ones(len(t.opinions), dtype=torch.bool)) for t in looked_at]
    judged += [(sound, AUDIO, heard_steps(sound, config.visible)) for sound in sounds]
    judged += [(speaker, SYNC, fit_steps)] if speaker is not None else []
    curves = file_curves(max((t.stop for t in timelines), default=0), judged, detector)
    return Judgement(
        verdict=with_credentials(_verdict(scores, pictures, config, warnings), info.credentials),
        scores=scores,
        timeline=curves[0].numpy(),
        curves=curves,
        streams=frozenset().union(*(t.streams for t in (*pictures, *sounds))),
        faces=_faces(looked_at, logits, detector),
        warnings=warnings,
    )


def _pictures(
    timelines: list[Timeline], detector: Detector, config: JudgeConfig, warnings: list[str]
) -> list[Timeline]:
    """Return the timelines of faces, or scenes, that can be judged."""
    faces = [t for t in timelines if t.track is not None]
    usable = [
        t
        for t in faces
        if len(t.opinions) >= config.min_steps and (t.face_size or 0) >= config.min_face
    ]
    if faces and not usable:
        warnings.append("no face is large and long enough for the picture to be judged")
    if any((t.face_size or 0) < config.small_face for t in usable):
        warnings.append("a face is small: its score is less reliable")
    if any((t.yaw or 0) > config.profile for t in usable):
        warnings.append("a face is seen from the side: its score is less reliable")
    scenes = [t for t in timelines if t.scene and len(t.opinions) >= config.min_steps]
    warnings += crowd_warnings(usable)
    warnings += dict.fromkeys(w for t in usable for w in motion_warnings(t, config.visible))
    usable = [without_motion(t, detector.opinions, config.visible) for t in usable]
    if detector.config.scenes:
        return usable + scenes
    if scenes and not faces:
        warnings.append("no face was found, and these weights judge faces only")
    return usable


def _believed(
    pictures: list[Timeline],
    info: MediaInfo,
    detector: Detector,
    config: JudgeConfig,
    warnings: list[str],
) -> list[Timeline]:
    """Return the pictures with opinions on fine detail weighted by the file's bit rate."""
    bits = bits_a_pixel(info)
    shares = [
        1.0 if t.face_size is None else believed(bits, t.face_size, config.detail) for t in pictures
    ]
    if min(shares, default=1.0) < 0.5:
        warnings.append(
            "the picture is compressed hard: how faces look says little, and their score is near "
            "that of nothing known"
        )
    return [faded(t, detector.opinions, share) for t, share in zip(pictures, shares, strict=True)]


def _looked_at(pictures: list[Timeline], detector: Detector, warnings: list[str]) -> list[Timeline]:
    """Return the pictures on which at least one visual opinion of non-zero weight applies."""
    visual = MODALITIES[VISUAL]
    looked_at = [t for t in pictures if detector.speaks(visual, t.streams)]
    if pictures and not looked_at:
        warnings.append("how faces look was not judged, so that the picture has no score")
    return looked_at


def _picture_logits(
    pictures: list[Timeline], detector: Detector, config: JudgeConfig, warnings: list[str]
) -> list[float]:
    """Return the clip logit of each picture; that of a face that can hardly be seen is near 0.

    Near 0 is near even odds once it is calibrated.
    """
    if any(lit(t, config.visible) < 1 for t in pictures):
        warnings.append("a face is too dark or too bright to be judged well: its score says less")
    if any(detailed(t, config.visible) < 1 for t in pictures):
        warnings.append("a face is too blurred to be judged well: its score says less")
    scale, shift = detector.calibration[VISUAL].tolist()
    logits = []
    for picture in pictures:
        share = visible_share(picture, config.visible)
        logit = clip_logit(picture, VISUAL, detector, None)
        logits.append(logit * share - shift / scale * (1 - share))
    return logits


def _speaker(
    pictures: list[Timeline],
    speech: Tensor | None,
    detector: Detector,
    config: JudgeConfig,
    warnings: list[str],
) -> tuple[Timeline | None, Tensor, float]:
    """Return the face whose lips fit the sound best, where it was judged, and its sync logit."""
    nothing = None, torch.zeros(0, dtype=torch.bool), 0.0
    faces = [t for t in pictures if "mouth" in t.streams]
    if speech is None or not faces:
        return nothing
    seen = [moving_steps(t, config.visible) & lip_steps(t, config.visible) for t in faces]
    heard = [speech[t.start : t.stop] & s for t, s in zip(faces, seen, strict=True)]
    if any(int((~lip_steps(t, config.visible)).sum()) >= config.min_steps for t in faces):
        warnings.append(
            "lips outside the frame: whether they and the sound fit is not judged there"
        )
    enough = [i for i, steps in enumerate(heard) if int(steps.sum()) >= config.min_speech]
    if not enough:
        warnings.append("too little speech with a face to judge whether lips and sound fit")
        return nothing
    best, index = min((clip_logit(faces[i], SYNC, detector, heard[i]), i) for i in enough)
    return faces[index], seen[index], best


def _verdict(
    scores: dict[str, float | None],
    pictures: list[Timeline],
    config: JudgeConfig,
    warnings: list[str],
) -> Decision:
    score, sync = scores["score"], scores["sync_score"]
    apart = sync is not None and sync >= config.apart
    if apart:
        warnings.append(
            f"lips and sound hardly fit ({sync:.2f}): the score takes no account of that, since "
            "one in ten genuine clips is like it"
        )
    if score is None:
        warnings.append("nothing in the file could be judged")
        return "inconclusive"
    low, high = config.uncertain
    if low < score < high:
        warnings.append(f"the score {score:.2f} lies between {low} and {high}: it decides nothing")
        return "inconclusive"
    hidden = bool(pictures) and max(visible_share(t, config.visible) for t in pictures) < 0.5
    if hidden and (scores["audio_score"] or 0.0) < high:
        warnings.append("too little of the faces can be seen for a verdict")
        return "inconclusive"
    if score >= high:
        return "fake"
    return "inconclusive" if apart else "real"


def _faces(pictures: list[Timeline], logits: list[float], detector: Detector) -> list[Face]:
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
