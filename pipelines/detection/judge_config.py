"""The settings of a judgement: what is enough to be judged, and where verdicts begin."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.detection.visibility import VisibilityConfig


@dataclass(frozen=True)
class JudgeConfig:
    """The least that can be judged, and the thresholds of verdicts and segments."""

    # Scores between are inconclusive. At the upper threshold the false positive rate is below 0.1
    # on the real clips with picture and sound that calibrated the starter weights.
    uncertain: tuple[float, float] = (0.35, 0.64)
    apart: float = 0.9  # a sync score from here on rules out the verdict real
    # Scores of visual, audio and sync segments below which they are not reported. Audio: of 236
    # genuine held-out recordings (10 minutes) five have a segment above, of 447 of development (27
    # minutes) four; visual and sync: none of 313 clips (16 minutes) has.
    segment_thresholds: tuple[float, float, float] = (0.8, 0.62, 0.9995)
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
