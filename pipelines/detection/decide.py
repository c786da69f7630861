"""Timelines in, a judgement out: which scores there are, what they say, and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from extractors.media import STEP_RATE, MediaInfo
from pipelines.detection.compression import believed, bits_a_pixel, faded
from pipelines.detection.detector import Detector
from pipelines.detection.result import Decision, Face
from pipelines.detection.sounds import (
    first_speech,
    judged_sounds,
    of_own_length,
    sound_logits,
)
from pipelines.detection.timelines import Timeline, clip_logit, step_probabilities
from temporal.segment import MODALITIES

VISUAL, AUDIO, SYNC = range(len(MODALITIES))


@dataclass(frozen=True)
class JudgeConfig:
    """What is enough to judge, and when a score is a verdict."""

    # Scores between are inconclusive. From the upper one on, fewer than one in ten of the genuine
    # clips with picture and sound that calibrated the starter weights are called fake.
    uncertain: tuple[float, float] = (0.35, 0.64)
    apart: float = 0.9  # sync scores above forbid the verdict real
    # Scores of visual, audio and sync segments below which they are not reported: none of the 313
    # genuine clips (16 minutes) that taught no expert has one above.
    segment_thresholds: tuple[float, float, float] = (0.8, 0.95, 0.9995)
    min_steps: int = 10  # of a face or the sound: 0.4 s
    min_speech: int = 25  # steps of speech with a face, to judge whether lips and sound fit
    min_face: float = 32.0  # pixels; smaller faces are not judged
    small_face: float = 64.0  # pixels; smaller faces are judged with a warning
    profile: float = 50.0  # degrees of yaw; faces turned farther are judged with a warning
    # Bits that the file spends on a 112th by a 112th of a face: up to the first its sharpness says
    # nothing, from the second on all it has to say. Of H.264 at CRF 23 one clip in ten has less
    # than the second; at CRF 35 and half size nearly all have less than the first.
    detail: tuple[float, float] = (0.03, 0.06)


@dataclass(frozen=True, eq=False)
class Judgement:
    """The scores of a file and what they were drawn from."""

    verdict: Decision
    scores: dict[str, float | None]  # score, visual_score, audio_score, sync_score
    timeline: npt.NDArray[np.float32]  # (T, 3), NaN: not judged
    curves: tuple[Tensor, Tensor, Tensor]  # (T, 3), (T, K, 3), (T, K, 3, 2): for the decoding
    streams: frozenset[str]
    faces: list[Face]
    warnings: list[str]


def decide(
    timelines: list[Timeline], detector: Detector, config: JudgeConfig, info: MediaInfo
) -> Judgement:
    """Return the judgement on a file's timelines.

    The picture is as suspect as its worst face, the sound as its worst track. Whether both fit is
    judged on the speaker: the face whose lips fit the first sound best.
    """
    warnings: list[str] = []
    timelines = of_own_length(timelines, info)
    sounds = judged_sounds(timelines, config.min_steps, info, warnings)
    pictures = _pictures(timelines, detector, config, warnings)
    pictures = _believed(pictures, info, detector, config, warnings)
    looked_at = _looked_at(pictures, detector, warnings)
    speech = first_speech(timelines)
    logits = [clip_logit(t, VISUAL, detector, None) for t in looked_at]
    speaker, sync = _speaker(pictures, speech, detector, config, warnings)
    clip = torch.full((len(MODALITIES),), torch.nan)
    if logits:
        clip[VISUAL] = max(logits)
    if sounds:
        clip[AUDIO] = max(sound_logits(sounds, detector, info, warnings))
    if speaker is not None:
        clip[SYNC] = sync
    probabilities = detector.calibrated(clip.to(detector.calibration.device)).tolist()
    names = (*(f"{modality}_score" for modality in MODALITIES), "score")
    scores = {n: None if p != p else round(p, 4) for n, p in zip(names, probabilities, strict=True)}
    curves = _curves(timelines, looked_at, sounds, speaker, detector)
    return Judgement(
        verdict=_verdict(scores, config, warnings),
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
    """Return the pictures, opinions on fine detail faded as far as the file's bits ask."""
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
    """Return the pictures on which an opinion that counts has something to say."""
    visual = MODALITIES[VISUAL]
    looked_at = [t for t in pictures if detector.speaks(visual, t.streams)]
    if pictures and not looked_at:
        warnings.append("how faces look was not judged, so that the picture has no score")
    return looked_at


def _speaker(
    pictures: list[Timeline],
    speech: Tensor | None,
    detector: Detector,
    config: JudgeConfig,
    warnings: list[str],
) -> tuple[Timeline | None, float]:
    """Return the face whose lips fit the sound best, and its sync logit."""
    if speech is None:
        return None, 0.0
    heard = [(t, speech[t.start : t.stop]) for t in pictures if "mouth" in t.streams]
    enough = [(t, s) for t, s in heard if int(s.sum()) >= config.min_speech]
    if not enough:
        if heard:
            warnings.append("too little speech with a face to judge whether lips and sound fit")
        return None, 0.0
    fits = [(clip_logit(t, SYNC, detector, s), i) for i, (t, s) in enumerate(enough)]
    best, index = min(fits)
    return enough[index][0], best


def _curves(
    timelines: list[Timeline],
    pictures: list[Timeline],
    sounds: list[Timeline],
    speaker: Timeline | None,
    detector: Detector,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the file's step scores (T, 3; NaN: not judged), proposals and reach.

    Where several faces are seen, or sounds are heard, a step takes the most suspect one.
    """
    steps = max((t.stop for t in timelines), default=0)
    scales = len(detector.config.localization.dilations)
    probs = torch.full((steps, len(MODALITIES)), torch.nan)
    proposals = torch.zeros(steps, scales, len(MODALITIES))
    reach = torch.zeros(steps, scales, len(MODALITIES), 2)
    judged = [(t, VISUAL) for t in pictures]
    judged += [(sound, AUDIO) for sound in sounds]
    judged += [(speaker, SYNC)] if speaker is not None else []
    for timeline, m in judged:
        mine = step_probabilities(timeline, detector)[:, m]
        span = slice(timeline.start, timeline.stop)
        take = ~(probs[span, m] >= mine)  # also where nothing was judged yet: NaN
        probs[span, m] = torch.where(take, mine, probs[span, m])
        proposals[span, :, m] = torch.where(
            take[:, None], timeline.proposals[..., m], proposals[span, :, m]
        )
        reach[span, :, m] = torch.where(
            take[:, None, None], timeline.reach[:, :, m], reach[span, :, m]
        )
    return probs, proposals, reach


def _verdict(scores: dict[str, float | None], config: JudgeConfig, warnings: list[str]) -> Decision:
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
