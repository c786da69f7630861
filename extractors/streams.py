"""Streams, the networks' inputs on the 25 Hz clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

STREAMS = ("appearance", "portrait", "landmarks", "mouth", "flow", "depth", "mel")
# Measurements of each step that tell which streams can be relied on there; not inputs of networks.
MEASURES = ("speech", "change", "brightness", "detail", "lips_inside", "lips_covered", "seen")
# Increase it when a stream's values change: cached streams of an older version are then not read.
VERSION = 3


@dataclass(frozen=True)
class StreamConfig:
    """Which extractors run, and how long a block is."""

    flow_weights: str | None = None  # safetensors of torchvision's RAFT; None: OpenCV DIS
    # An ONNX depth network, or the folder of a Depth Anything; None: depth of the face mesh.
    depth_weights: str | None = None
    # File or folder of a picture encoder, see docs/encoders.md; None: there is no portrait.
    encoder: str | None = None
    portrait: tuple[str, ...] = ()  # its features, such as face/6/class
    portrait_every: int = 12  # steps from one encoded crop to the next
    portrait_image: int = 0  # pixels a side that the encoder sees; 0: its own
    # File or folder of a speech encoder, and its layers whose tokens are taken, counted from 1.
    speech_encoder: str | None = None
    speech_layers: tuple[int, ...] = ()
    lip_encoder: str | None = None  # the same of a lip reader
    lip_layers: tuple[int, ...] = ()
    added: tuple[str, ...] = ()  # names of `extractors.added_streams`
    device: str = "cpu"  # of RAFT, Depth Anything and encoders
    precision: str = "auto"  # of encoders, see `extractors.precision`
    block: int = 1344  # steps that leave the extractor at once: bounds memory
    context: int = 64  # steps that neighbouring blocks share at each side
    scenes: bool = True  # whether steps without a face give streams of the whole frame


@dataclass(frozen=True, eq=False)
class Streams:
    """The streams of a face, a scene or the sound; step t of each is step start + t of the file.

    A stream that is missing is None, never zeros.
    """

    start: int  # step of the file at which the streams begin
    track: int | None = None  # the face's identity; None: no face
    scene: bool = False  # the picture is the whole frame
    lead: int = 0  # steps at the front that the block before holds as well
    trail: int = 0  # steps at the end that the block after holds as well
    entry: list[float] | None = None  # x, y and size of the face in pixels where the lead ends
    exit: list[float] | None = None  # the same where the trail begins; both None without either
    face_size: float | None = None  # pixels, median
    yaw: float | None = None  # degrees to the side, median of the absolute value
    appearance: Tensor | None = None  # (T, 3, 112, 112) uint8
    portrait: Tensor | None = None  # (T, F, D) float16, features of a picture encoder
    landmarks: Tensor | None = None  # (T, 40, 3) float32, lips in face coordinates
    mouth: Tensor | None = None  # (T, 1, 48, 96) uint8
    flow: Tensor | None = None  # (T, 2, 56, 56) float16, crop widths a second
    depth: Tensor | None = None  # (T, 1, 56, 56) float16, crop widths, larger is nearer
    mel: Tensor | None = None  # (T, 80, 4) float32, log power
    speech: Tensor | None = None  # (T,) 0 to 1, how likely the sound is speech
    change: Tensor | None = None  # (T,) grey levels of the face since the step before
    brightness: Tensor | None = None  # (T,) median grey level of the face, 0 to 255
    detail: Tensor | None = None  # (T,) 0 to 1, how much of the face's detail is fine
    lips_inside: Tensor | None = None  # (T,) share of the lips' landmarks inside the frame
    # (T,) logit that something covers the mouth; NaN: not looked at in this step
    lips_covered: Tensor | None = None
    seen: Tensor | None = None  # (T,) faces in the frame, as far as they were counted
    # (T, ...) each, by name: see `extractors.added_streams`
    added: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        every = self.present() | self.measures()
        lengths = {name: len(stream) for name, stream in every.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"streams must share one length T, got {lengths}")

    def present(self) -> dict[str, Tensor]:
        """Return the streams that there are, by name."""
        streams = {name: getattr(self, name) for name in STREAMS}
        return {name: s for name, s in streams.items() if s is not None} | self.added

    def measures(self) -> dict[str, Tensor]:
        """Return the measures that there are, by name."""
        measures = {name: getattr(self, name) for name in MEASURES}
        return {name: measure for name, measure in measures.items() if measure is not None}

    def given(self) -> dict[str, Tensor]:
        """Return the networks' inputs: the streams present, and a face's `size` (T, 1) pixels."""
        streams = self.present()
        if self.face_size is not None:
            streams["size"] = torch.full((self.steps, 1), self.face_size)
        return streams

    @property
    def steps(self) -> int:
        """T, the number of steps."""
        return len(next(iter(self.present().values())))
