"""Seconds go to the stage that spent them, and progress is told in steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from extractors.media import Clip, MediaInfo
from pipelines.progress import Stopwatch, added, reported

INFO = MediaInfo("a.wav", 2.0, None, None, None, None, "pcm", 16_000)


def test_progress_is_told_in_steps_of_the_whole() -> None:
    told: list[tuple[int, int]] = []
    chunks = [Clip(start, None, np.zeros(25 * 640, np.float32)) for start in (0, 25)]
    passed = reported(chunks, INFO, lambda done, total: told.append((done, total)))
    assert next(passed) is chunks[0]
    assert told == []  # it is not done before the next one is asked for
    assert list(passed) == chunks[1:]
    assert told == [(25, 50), (50, 50)]


def test_each_stage_is_charged_for_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.perf_counter", lambda: now)

    def work(seconds: float) -> None:
        nonlocal now
        now += seconds

    def decoded() -> Iterator[int]:
        for item in range(2):
            work(3.0)
            yield item

    def extracted(items: Iterator[int]) -> Iterator[int]:
        for item in items:
            work(5.0)
            yield item

    watch = Stopwatch()
    for _ in watch.extract(extracted(watch.decode(decoded()))):
        work(7.0)
    assert watch.elapsed() == {"decode": 6.0, "extract": 10.0, "judge": 14.0, "total": 30.0}
    assert added([watch.elapsed(), watch.elapsed()])["total"] == 60.0
