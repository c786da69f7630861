"""The first seconds of a file, kept while it is judged, so that nothing is decoded twice."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from torch import Tensor

from extractors.clip import Array
from extractors.media import Clip
from extractors.streams import Streams
from pipelines.streams.stream_cache import Extract
from pipelines.train.clips import LONGEST, whole_sound


class Opening:
    """The faces and the sound of a file's first six seconds."""

    def __init__(self) -> None:
        self._blocks: list[Streams] = []
        self._sounds: list[Array] = []
        self._heard = 0  # steps

    def chunk(self, clip: Clip) -> None:
        """Keep a chunk's sound, if it is of the opening."""
        if clip.waveform is not None and self._heard < LONGEST:
            self._sounds.append(clip.waveform)
            self._heard = clip.start + clip.steps

    def block(self, block: Streams) -> None:
        """Keep what a block has of the opening."""
        if block.start < LONGEST and not block.lead:
            self._blocks.append(beginning(block, LONGEST - block.start))

    def extract(self) -> Extract:
        """Return the opening as a file's streams and sound."""
        return Extract(list(self._blocks), whole_sound(self._sounds))


def beginning(block: Streams, steps: int) -> Streams:
    """Return a copy of a block's first steps, without the picture encoder's features."""
    own = {f.name: getattr(block, f.name) for f in fields(block) if f.name != "portrait"}
    cut: dict[str, Any] = {n: x[:steps].clone() for n, x in own.items() if isinstance(x, Tensor)}
    added = {name: stream[:steps].clone() for name, stream in block.added.items()}
    return replace(block, **cut, added=added, portrait=None, trail=0)
