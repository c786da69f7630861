"""The walks over one file as detection makes them: over its main tracks, and further sounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from os import PathLike

from extractors.media import Clip, MediaConfig, MediaInfo, file_sha256
from extractors.stream_extractor import OnFace, StreamExtractor
from pipelines.detection.witness import Witness, watched
from pipelines.progress import OnStep, Stopwatch
from pipelines.streams.stream_cache import StreamCache
from pipelines.streams.walk import Through, Walk, walk

Change = Callable[[Iterable[Clip]], Iterable[Clip]]  # chunks as read -> chunks to be judged


class FileWalks:
    """The walks over one file, timed by a clock.

    The cache serves files as they are: it is left alone where chunks are changed, or where a
    witness wants to see them.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        extractor: StreamExtractor,
        media: MediaConfig,
        cache: StreamCache | None,
        clock: Stopwatch,
        change: Change = iter,
        witness: Witness | None = None,
    ) -> None:
        """Prepare walks over a file.

        Raises:
            MediaError: the file cannot be read.
        """
        self._path, self._extractor, self._media, self._clock = path, extractor, media, clock
        self._change, self._witness = change, witness
        self._cache = cache if witness is None and change is iter else None
        self._sha256 = None if self._cache is None else file_sha256(path)

    def sha256(self) -> str:
        """Return the digest of the file's bytes."""
        return self._sha256 or file_sha256(self._path)

    def main(
        self, span: range | None, on_step: OnStep | None = None
    ) -> AbstractContextManager[Walk]:
        """Return the walk over the picture and players' default sound; see `walk`."""
        on_face = None if self._witness is None else self._witness.face

        def through(chunks: Iterable[Clip], info: MediaInfo) -> Iterable[Clip]:
            chunks = self._change(self._clock.decode(chunks))
            return chunks if self._witness is None else watched(chunks, info, self._witness)

        return self._walk(span, 0, through, on_step, on_face)

    def other_sound(self, span: range, place: int) -> AbstractContextManager[Walk]:
        """Return the walk over a further sound track, which has no witness."""

        def through(chunks: Iterable[Clip], info: MediaInfo) -> Iterable[Clip]:
            return self._change(self._clock.decode(chunks))

        return self._walk(span, place, through, None, None)

    def _walk(
        self,
        span: range | None,
        place: int,
        through: Through,
        on_step: OnStep | None,
        on_face: OnFace | None,
    ) -> AbstractContextManager[Walk]:
        entry = None
        if self._cache is not None:
            entry = self._cache.entry(self._path, span, place, self._sha256)
        return walk(
            self._path, self._extractor, self._media, span, place, entry, through, on_step, on_face
        )
