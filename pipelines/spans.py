"""How a long video is cut: which steps its shards decide, and which are read to judge them."""

from __future__ import annotations

from collections.abc import Sequence

CONTEXT = 128  # steps read beyond a shard: faces are found by then, windows have their margins


class LongVideoError(Exception):
    """The video is to be judged in shards."""

    def __init__(self, spans: Sequence[range]) -> None:
        super().__init__(f"is to be judged in {len(spans)} shards")
        self.spans = spans


def plan_shards(steps: int, length: int) -> list[range]:
    """Return the shards of a video: of `length` steps each, save the last, of 0.5 to 1.5 of it."""
    count = max(1, round(steps / length))
    starts = [length * index for index in range(count)]
    return [range(a, b) for a, b in zip(starts, [*starts[1:], steps], strict=True)]


def with_context(span: range) -> range:
    """Return the steps that are read to judge a shard."""
    return range(max(0, span.start - CONTEXT), span.stop + CONTEXT)
