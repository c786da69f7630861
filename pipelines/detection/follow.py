"""Verdicts on a file that is still being written: provisional ones, and then the final one.

The file is judged in spans, as long videos are in shards, so what was judged once is not judged
again, and the final timelines are those of the whole file, except for differences where MediaPipe's
tracking starts. A span ends on the grid of windows, and far enough before the end of what can be
read that its windows are those of the whole file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from os import PathLike

from extractors.clock import STEP_RATE, count_steps
from extractors.media import MediaError, file_sha256, probe
from pipelines.detection.session import DetectorSession
from pipelines.detection.shards import Piece
from pipelines.detection.verdict import Verdict
from pipelines.streams.walk import CONTEXT

POLL = 2.0  # seconds from one look at the file to the next


def follow(
    session: DetectorSession,
    path: str | PathLike[str],
    finished: Callable[[], bool],
    wait: Callable[[], None] = lambda: time.sleep(POLL),
) -> Iterator[Verdict]:
    """Yield a provisional verdict whenever there is more to judge, and the final one at last.

    Containers that can be read before they are complete are followed: Matroska, WebM, MPEG-TS, Ogg,
    WAV and fragmented MP4. Of others, such as a usual MP4, whose index is written last, there is
    the final verdict alone.

    Args:
        session: that judges; its cache of streams is not used before the last span.
        path: the file.
        finished: whether nothing more will be written; asked again and again.
        wait: called where there is nothing new yet.

    Raises:
        MediaError: the file cannot be read once it is complete.
    """
    windows, pieces, done = session.config.windows, list[Piece](), 0
    ahead = max(CONTEXT, windows.length)  # steps beyond a span: its context, and a last window
    while not finished():
        known = _readable(session, path)
        count = max(0, known - ahead - done) // windows.stride
        if count == 0:
            wait()
            continue
        span = range(done, done + count * windows.stride)
        pieces.append(session.read_piece(path, span, None))
        done = span.stop
        yield _provisional(session.conclude(path, pieces), done)
    if not pieces:
        yield session.detect(path)
        return
    last = session.read_piece(path, range(done, _steps(session, path)), None)
    # of the complete file: what was said of parts of it, such as that it ends early, is outdated
    first, *others = (replace(p, info=last.info, warnings=last.warnings) for p in pieces)
    yield session.conclude(path, [replace(first, sha256=file_sha256(path)), *others, last])


def _provisional(verdict: Verdict, steps: int) -> Verdict:
    so_far = f"provisional: judged up to {steps / STEP_RATE:.1f} s of a file still being written"
    return replace(verdict, warnings=[so_far, *verdict.warnings])


def _readable(session: DetectorSession, path: str | PathLike[str]) -> int:
    """Return how many steps of the file can be read by now; 0 where nothing can be read yet."""
    try:
        return _steps(session, path)
    except MediaError:
        return 0


def _steps(session: DetectorSession, path: str | PathLike[str]) -> int:
    return count_steps(probe(path, session.config.media).duration)
