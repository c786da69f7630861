"""Training clips that are drawn in memory, and small experts that learn them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from extractors.streams import Streams
from pipelines.data.samples import WHOLE, Sample, Spans
from pipelines.detection.detector import Detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.train.batches import Batch, balanced_weights, draw_batches
from pipelines.train.clips import TrainClip
from pipelines.train.expert_probe import ExpertProbe
from pipelines.train.options.method import MethodConfig
from temporal.experts import ExpertConfig

SIDE = 48.0  # pixels of the crops
SIZES = ExpertConfig(
    dim=16,
    dropout=0.0,
    appearance=8,
    lips=(4, 8),
    flow=(4, 8),
    depth=(4, 8),
    mel=(4, 8),
    voice=(4, 8),
)
MODALITY = {"appearance": "visual", "flow": "visual", "depth": "visual", "mel": "audio"}


def drawn_clips(
    count: int, names: Sequence[str] = ("appearance",), methods: Sequence[str] = ("grid", "dots"),
    steps: int = 20,
) -> list[TrainClip]:  # fmt: skip
    """Draw clips of two sources; every second one is forged, and made from the one before it."""
    return [drawn_clip(i, names, methods[(i // 2) % len(methods)], steps) for i in range(count)]


def drawn_clip(index: int, names: Sequence[str], method: str, steps: int) -> TrainClip:
    """Draw a drifting pattern and a chirp; a forged one has a grid over it and clicks."""
    fake, origin = index % 2 == 1, index // 2
    generator = torch.Generator().manual_seed(origin)
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    times = torch.arange(float(steps))[:, None, None]
    pattern = torch.sin((rows + (3 + origin) * columns) / 20 + times / 5)[:, None]
    tint = torch.rand(3, 1, 1, generator=generator) * 50 + 50
    crops = (128 + tint * pattern).byte()
    chirp = torch.arange(steps * 640) / 16000
    sound = 8000 * torch.sin(2 * torch.pi * (300 + 100 * origin + 200 * chirp) * chirp)
    flow = torch.randn(steps, 2, 24, 24, generator=generator)
    depth = torch.rand(steps, 1, 24, 24, generator=generator)
    if fake:
        crops[:, :, ::4] //= 2
        sound[::400] += 12000
        flow[:, :, ::4], depth[:, :, ::4] = 3.0, 1.0
    streams: dict[str, Tensor] = {
        "appearance": crops, "flow": flow.half(), "depth": depth.half(),
    }  # fmt: skip
    spans: Spans = WHOLE if fake else ()
    sample = Sample(
        Path(f"{index}.mp4"), "train", method if fake else "real", ("lab", "street")[origin % 2],
        str(origin), spans, spans, None, pair=Path(f"{index - 1}.mp4") if fake else None,
    )  # fmt: skip
    chosen = {n: s for n, s in streams.items() if n in names}
    face = Streams(0, 0, face_size=112.0, **chosen) if chosen else None
    return TrainClip(sample, face, sound.short() if "mel" in names else None)


def tiny_probe(name: str, adapters: tuple[str, ...] = ()) -> ExpertProbe:
    """Make a small untrained expert."""
    return ExpertProbe(name, Detector(DetectorConfig(experts=SIZES, adapters=adapters)))


def drawn_batch(
    option: MethodConfig, clips: Sequence[TrainClip], name: str, size: int = 4, seed: int = 0
) -> Batch:
    """Draw one batch of short stretches as an option has it."""
    (batch,) = draw_batches(
        clips, balanced_weights(clips, MODALITY[name]), (name,), 4, size, seed, 0, 1,
        views=option.views(clips),
    )  # fmt: skip
    return batch
