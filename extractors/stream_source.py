"""The buffer of one face, scene or sound, from which overlapping blocks of streams are taken."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from extractors.added_streams import SAMPLES, AddedStreams
from extractors.depth import DepthNetwork
from extractors.flow import FlowExtractor
from extractors.measures import FaceMeasures
from extractors.portrait import PortraitExtractor
from extractors.streams import StreamConfig, Streams


@dataclass(eq=False)
class StreamSource:
    """The streams of one face, scene or the sound that no block has taken yet."""

    track: int | None
    start: int
    flow: FlowExtractor
    depth: DepthNetwork | None
    portrait: PortraitExtractor | None
    added: AddedStreams
    span: range  # steps to decide; steps before and after are context
    scene: bool = False
    measures: FaceMeasures = field(default_factory=FaceMeasures)
    pieces: list[Future[dict[str, Tensor]]] = field(default_factory=list)  # end to end
    steps: int = 0
    lead: int = field(init=False)
    places: list[list[float]] = field(default_factory=list)  # of the face: x, y, size; a step each
    yaws: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lead = max(0, self.span.start - self.start)

    def add(self, steps: int, piece: Future[dict[str, Tensor]]) -> None:
        self.pieces.append(piece)
        self.steps += steps

    def blocks(self, config: StreamConfig) -> Iterator[Streams]:
        """Yield the full blocks, keeping the context that the next one shares."""
        while self.steps >= self.lead + config.block + config.context:
            yield from self._take(self.lead + config.block + config.context, config.context)

    def last_block(self) -> Iterator[Streams]:
        """Yield the rest at the end of the source, unless it is all context."""
        return self._take(self.steps, 0)

    def _take(self, count: int, shared: int) -> Iterator[Streams]:
        """Yield a block of `count` steps, unless it is all context, and keep its context.

        The next block begins with the last `2 * shared` steps of this one.
        """
        joined = self._joined()
        trail = max(shared, self.start + count - self.span.stop)
        places, kept = self.places[:count], count - 2 * shared
        rest = Future[dict[str, Tensor]]()
        rest.set_result({name: stream[kept:].clone() for name, stream in joined.items()})
        self.pieces = [rest]
        if self.lead + trail < count:
            block = {name: stream[:count] for name, stream in joined.items()}
            added = self.added(block, self.start)
            block.pop(SAMPLES, None)
            yield Streams(
                self.start, self.track, self.scene, self.lead, trail,
                places[self.lead] if places and self.lead else None,
                places[count - trail] if places and trail else None,
                float(np.median([size for _, _, size in places])) if places else None,
                float(np.median(self.yaws)) if self.yaws else None,
                **block, added=added,
            )  # fmt: skip
        self.start, self.steps, self.lead = self.start + kept, self.steps - kept, shared
        self.places, self.yaws = self.places[kept:], self.yaws[-1:]

    def _joined(self) -> dict[str, Tensor]:
        """Return the pieces end to end, stream by stream: never all of them are there twice."""
        pieces = [piece.result() for piece in self.pieces]
        return {name: torch.cat([piece.pop(name) for piece in pieces]) for name in [*pieces[0]]}
