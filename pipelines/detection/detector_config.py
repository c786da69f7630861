"""The settings that a detector's weights depend on, and that its weights file carries."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log

from fusion.transformer import FusionConfig
from temporal.experts import ExpertConfig
from temporal.localization import LocalizationConfig
from temporal.localizer import LocalizerConfig
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
    # Opinions that are evidence on a clip as a whole; the others are then evidence on what stands
    # out in it. Empty: all are evidence on both.
    whole: tuple[str, ...] = ()
    opinion_reach: int = 100  # steps to either side that opinions of sound and steadiness average
    sharpness_reach: int = 12  # steps to either side that sharpness averages
    # The portrait (`extractors.portrait`): features of the picture encoder, the width of each, and
    # the steps from one encoded crop to the next.
    portrait: tuple[str, ...] = (
        "face/6/class", "face/6/mean", "face/6/spread",
        "face/7/class", "face/7/mean", "face/7/spread",
    )  # fmt: skip
    portrait_width: int = 768
    portrait_encoder: str = ""  # SHA-256 of the encoder that it was fitted on; "": any
    portrait_image: int = 0  # pixels a side that the encoder sees; 0: its own
    portrait_every: int = 25
    # The speech features (`extractors.speech_features`): the encoder's layers, counted from 1, and
    # their width.
    speech_layers: tuple[int, ...] = (6, 9)
    speech_width: int = 768
    speech_encoder: str = ""  # SHA-256 of the encoder that the opinion on them was fitted on
    # The same of a lip reader (`extractors.lip_features`).
    lip_layers: tuple[int, ...] = (6, 9)
    lip_width: int = 768
    lip_encoder: str = ""
    # SHA-256 of the networks whose flow and depth the experts learned; "": any
    flow_network: str = ""
    depth_network: str = ""
    # Steps: in real recordings sound and lips are up to 80 ms apart; 200 ms is a forgery.
    lag_near: int = 2  # lags up to this one are in sync
    lag_far: int = 5  # lags from this one on occur in no recording
    peak_steps: int = 25  # length of the peak in the clip's logit: the most suspicious second
    localized_steps: int = 8  # the same of a localizer, which finds stretches of 0.3 s
    # Prior log odds of each of two tracks, such that either is forged at even odds.
    two_tracks: float = log(2**0.5 - 1)
    adapters: tuple[str, ...] = ()  # experts whose tokens a low-rank adapter corrects
    experts: ExpertConfig = field(default_factory=ExpertConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    localization: LocalizationConfig = field(default_factory=LocalizationConfig)
    localizer: LocalizerConfig = field(default_factory=LocalizerConfig)
