"""The walk over a file as far as its streams, from its pixels and samples or from the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike

from extractors.media import Clip, MediaConfig, MediaInfo, open_media
from extractors.stream_extractor import OnFace, StreamExtractor
from extractors.streams import Streams
from pipelines.progress import OnStep, reported
from pipelines.streams.cache_entry import CacheEntry

CONTEXT = 128  # steps read beyond a span: enough for face tracking to settle and for margins
# maps a file's chunks, of which it is told the properties, to those that are extracted
Through = Callable[[Iterable[Clip], MediaInfo], Iterable[Clip]]


@dataclass(eq=False)
class Walk:
    """The streams of a file or of a span of it, and what is known of the file.

    `reached` and `warnings` are final when the walk has ended.
    """

    info: MediaInfo
    steps: int  # of the whole file
    blocks: Iterator[Streams]  # to be taken once
    reached: int = 0  # step up to which the file could be read, context included
    warnings: list[str] = field(default_factory=list)


@contextmanager
def walk(
    path: str | PathLike[str],
    extractor: StreamExtractor,
    media: MediaConfig,
    span: range | None = None,
    sound_track: int = 0,
    entry: CacheEntry | None = None,
    through: Through = lambda chunks, info: chunks,
    on_step: OnStep | None = None,
    on_face: OnFace | None = None,
) -> Iterator[Walk]:
    """Yield the walk over a file.

    Args:
        path: of the file.
        extractor: of the streams.
        media: how the file is read.
        span: the steps that are to be decided; None: all.
        sound_track: index into `MediaInfo.audio_tracks`.
        entry: of this file, span and sound in a cache: read if it is there, else written.
        through: sees and may change what was decoded; it is not called where the entry is read.
        on_step: called with the number of steps done and their expected total.
        on_face: see `StreamExtractor`.

    Raises:
        MediaError: the file cannot be read.
        ScratchError: the entry cannot be written.
    """
    if entry is not None and entry.complete:
        facts = entry.facts()
        blocks = _told(entry.blocks(), facts.info, on_step)
        yield Walk(facts.info, facts.steps, blocks, facts.reached, facts.warnings)
        return
    near = None if span is None else with_context(span)
    with open_media(path, media, near, sound_track=sound_track) as reader:
        chunks = through(reported(reader, reader.info, on_step), reader.info)
        if entry is not None:
            chunks = entry.heard(chunks)
        own = range(reader.steps) if span is None else span
        blocks = extractor(chunks, own, on_face)
        taken = Walk(reader.info, reader.steps, blocks if entry is None else entry.kept(blocks))
        try:
            yield taken
        finally:
            taken.reached, taken.warnings = reader.reached, reader.warnings
            if entry is not None:
                entry.end(reader.info, reader.steps, taken.reached, taken.warnings)


def with_context(span: range) -> range:
    """Return the steps that are read to decide a span."""
    return range(max(0, span.start - CONTEXT), span.stop + CONTEXT)


def _told(blocks: Iterable[Streams], info: MediaInfo, on_step: OnStep | None) -> Iterator[Streams]:
    """Yield the blocks, and call `on_step` with the step that each ends at."""
    for block in blocks:
        yield block
        if on_step is not None:
            on_step(block.start + block.steps, round(info.duration * 25))
