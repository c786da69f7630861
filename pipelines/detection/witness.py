"""The witness of a detection: it is shown what passes through, to explain it afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import torch

from extractors.clip import Array
from extractors.media import Clip, MediaInfo
from extractors.streams import Streams
from pipelines.detection.timelines import Timeline
from temporal.windows import Windows


class Witness(Protocol):
    """An observer of a detection's intermediate results, for explaining the verdict afterwards."""

    def begin(self, info: MediaInfo) -> None:
        """Receive the file's properties, before anything else."""

    def chunk(self, clip: Clip) -> None:
        """Receive frames and sound as they were decoded."""

    def face(self, track: int, first: int, squares: Array, landmarks: Array) -> None:
        """Receive a face's squares (T, 4) and landmarks (T, 478, 3) in pixels, from a step on."""

    def block(
        self, block: Streams, windows: Windows, tokens: dict[str, torch.Tensor], said: Timeline
    ) -> None:
        """Receive a block of streams, its windows, the experts' tokens, and the timeline."""

    def other_sound(self, timelines: list[Timeline]) -> None:
        """Receive the timelines of a further sound track."""


def watched(chunks: Iterable[Clip], info: MediaInfo, witness: Witness) -> Iterator[Clip]:
    """Yield the chunks, each after the witness has received it."""
    witness.begin(info)
    for clip in chunks:
        witness.chunk(clip)
        yield clip
