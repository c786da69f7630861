"""Progress and timing of a file's way through detection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from extractors.media import Clip, MediaInfo

OnStep = Callable[[int, int], None]
Clock = Callable[[], float]  # seconds since some beginning
Item = TypeVar("Item")


class Elapsed(TypedDict):
    """Seconds that detection took, by stage."""

    decode: float
    extract: float  # decoding not counted
    judge: float
    total: float


def reported(chunks: Iterable[Clip], info: MediaInfo, on_step: OnStep | None) -> Iterator[Clip]:
    """Yield the chunks, and call `on_step` with the steps done and the estimated total."""
    total, done = round(info.duration * 25), 0
    for clip in chunks:
        yield clip
        done += clip.steps
        if on_step is not None:
            on_step(done, total)


class Stopwatch:
    """Seconds spent in each stage of a chain of generators, by whichever clock."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or time.perf_counter
        self._start = self._clock()
        self._spent = {"decode": 0.0, "extract": 0.0}

    def decode(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items, counting the time to produce them as decoding."""
        return self._timed("decode", iter(items))

    def extract(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items, counting the time to produce them as extraction."""
        return self._timed("extract", iter(items))

    def _timed(self, stage: str, items: Iterator[Item]) -> Iterator[Item]:
        while True:
            begin = self._clock()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self._spent[stage] += self._clock() - begin
            yield item

    def elapsed(self) -> Elapsed:
        """Return the seconds of each stage; the time of decoding is taken out of extraction."""
        total = self._clock() - self._start
        decode, both = self._spent["decode"], self._spent["extract"]
        return {
            "decode": round(decode, 3), "extract": round(both - decode, 3),
            "judge": round(total - both, 3), "total": round(total, 3),
        }  # fmt: skip


def added(times: Iterable[Elapsed]) -> Elapsed:
    """Return the sums of the times, stage by stage."""
    every = list(times)
    return {
        "decode": round(sum(t["decode"] for t in every), 3),
        "extract": round(sum(t["extract"] for t in every), 3),
        "judge": round(sum(t["judge"] for t in every), 3),
        "total": round(sum(t["total"] for t in every), 3),
    }
