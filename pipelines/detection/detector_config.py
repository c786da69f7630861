"""The settings that a detector's weights depend on, and that its weights file carries."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log

from fusion.transformer import FusionConfig
from temporal.experts import ExpertConfig
from temporal.localization import LocalizationConfig
from temporal.segment import MODALITIES


@dataclass(frozen=True)
class DetectorConfig:
    """Everything that the weights depend on.

    A default never changes: a file of weights names only what it was trained with, and older ones
    name less.
    """

    name: str = "starter"
    version: str = "1"
    scenes: bool = False  # trained for pictures without a face
    # Rows of `pipelines.detection.opinions.OPINIONS`, in the order of the weights' rows.
    opinions: tuple[str, ...] = (
        "appearance", "flow", "depth", "mel", "lag", "sharpness", "steadiness", "speech",
        "whisper", *(f"fusion of {modality}" for modality in MODALITIES),
    )  # fmt: skip
    # The opinions on a clip as a whole, those of the other kinds being on what stands out in it;
    # empty: all are on both.
    whole: tuple[str, ...] = ()
    opinion_reach: int = 100  # steps to either side that speech, steadiness and Whisper look at
    sharpness_reach: int = 12  # steps to either side that sharpness looks at
    # The portrait (`extractors.portrait`): features of the picture encoder, the width of each, and
    # the steps from one look to the next.
    portrait: tuple[str, ...] = (
        "face/6/class", "face/6/mean", "face/6/spread",
        "face/7/class", "face/7/mean", "face/7/spread",
    )  # fmt: skip
    portrait_width: int = 768
    portrait_encoder: str = ""  # SHA-256 of the encoder's file that it was fitted on; "": any
    portrait_every: int = 25
    # Steps: genuine recordings are off by up to 80 ms; 200 ms is a forgery.
    lag_near: int = 2  # lags up to it about 0 fit
    lag_far: int = 5  # lags from it on are what no recording has
    peak_steps: int = 25  # the most suspicious second that the clip's logit listens to
    # Log odds of each of two tracks, of which one is forged at even odds.
    two_tracks: float = log(2**0.5 - 1)
    experts: ExpertConfig = field(default_factory=ExpertConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    localization: LocalizationConfig = field(default_factory=LocalizationConfig)
