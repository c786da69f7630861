"""Blocks of streams from several workers in, their timelines out: the judging stage of a scan.

Where there is a GPU, few processes judge for many that extract: each takes all blocks that wait
and judges them together.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import TYPE_CHECKING

from extractors.streams import Streams
from pipelines.timelines import Timeline, judge_blocks

if TYPE_CHECKING:
    from pipelines.detect import Session

BATCH = 8  # windows that the networks take at once


class BlockJudge:
    """Judges blocks; may be asked from several threads at a time."""

    def __init__(self, load: Callable[[], Session], expected: dict[str, str]) -> None:
        """Load the model.

        Raises:
            ValueError: other weights are on this machine than the results belong to.
        """
        self._session = load()
        if self._session.model != expected:
            raise ValueError(f"expected the model {expected}, got {self._session.model}")
        self._waiting: list[tuple[Streams, Future[Timeline]]] = []
        self._entry, self._turn = Lock(), Lock()

    def ready(self) -> None:
        """Return when the model is loaded."""

    def judge(self, block: Streams) -> Timeline:
        """Return the timeline of a block; whoever has the turn judges all that wait."""
        future: Future[Timeline] = Future()
        with self._entry:
            self._waiting.append((block, future))
        with self._turn:
            if not future.done():
                self._judge_waiting()
        return future.result()

    def _judge_waiting(self) -> None:
        with self._entry:
            taken, self._waiting = self._waiting, []
        session = self._session
        try:
            timelines = judge_blocks(
                [block for block, _ in taken],
                session.detector,
                session.config.windows,
                session.precision,
                BATCH,
            )
        except Exception as error:  # noqa: BLE001  it belongs to all who wait for these blocks
            for _, future in taken:
                future.set_exception(error)
            return
        for (_, future), timeline in zip(taken, timelines, strict=True):
            future.set_result(timeline)
