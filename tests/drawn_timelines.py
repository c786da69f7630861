"""Timelines of faces and sounds whose every opinion and measure is known, for tests."""

from __future__ import annotations

import torch

from extractors.media import MediaInfo
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.timelines import Timeline
from temporal.experts import ExpertConfig

TINY = ExpertConfig(
    dim=8, appearance=4, lips=(4, 4), flow=(4, 4), depth=(4, 4), mel=(4, 4), voice=(4, 4)
)
FILE = MediaInfo("a.mp4", 4.0, 640, 360, 25.0, "h264", "aac", 16_000)  # bit rate not known
PICTURES = frozenset({"appearance", "landmarks", "mouth", "flow", "depth"})


def opinions(logits: tuple[float, float, float], steps: int) -> torch.Tensor:
    """Of fusion alone, which an untrained detector takes as they are."""
    made = torch.zeros(steps, len(DetectorConfig().opinions))
    for column, modality in enumerate(("visual", "audio", "sync")):
        made[:, DetectorConfig().opinions.index(f"fusion of {modality}")] = logits[column]
    return made


def timeline(
    logits: tuple[float, float, float],
    steps: int = 100,
    *,
    start: int = 0,
    track: int | None = None,
    scene: bool = False,
    size: float | None = 120.0,
    loud: float | torch.Tensor = 0.0,
    **measures: float | torch.Tensor,
) -> Timeline:
    scales = len(DetectorConfig().localization.dilations)
    sound = track is None and not scene
    return Timeline(
        track=track,
        scene=scene,
        start=start,
        streams=frozenset({"mel"}) if sound else PICTURES,
        face_size=size if track is not None else None,
        yaw=5.0 if track is not None else None,
        opinions=opinions(logits, steps),
        proposals=torch.zeros(steps, scales, 3),
        reach=torch.zeros(steps, scales, 3, 2),
        loudness=torch.zeros(steps) + loud if sound else None,
        **{name: torch.zeros(steps) + value for name, value in measures.items()},
    )
