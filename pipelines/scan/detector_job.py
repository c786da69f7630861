"""The job of a scan: the verdict on a file, or on a long video in shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

from extractors.media import STEP_RATE
from extractors.streams import Streams
from pipelines.detection.session import DetectorSession, WeightsSpec
from pipelines.detection.shards import pack, unpack
from pipelines.detection.timelines import Timeline
from pipelines.progress import OnStep


class DetectorJob:
    """A detector session as a worker's job; long videos are judged in shards."""

    def __init__(self, session: DetectorSession, shard: int | None = None) -> None:
        """Wrap a session.

        shard: steps; videos of 1.5 times as many are judged in shards; None: no video is.
        """
        self.session, self.shard = session, shard
        # turns blocks into timelines; None: the session does
        self.stage: Callable[[Iterable[Streams]], list[Timeline]] | None = None

    @property
    def model(self) -> Mapping[str, object]:
        """Name, version and digest of the weights."""
        return self.session.model

    def run(self, path: str | PathLike[str], on_step: OnStep) -> dict[str, Any]:
        """Return the verdict on one file: schema 1.

        Raises:
            MediaError: the file cannot be read.
            LongVideoError: it is to be judged in shards.
        """
        piece = self.session.read_piece(path, None, on_step, shard=self.shard, stage=self.stage)
        return dict(self.session.conclude(path, [piece]).to_dict())

    def run_shard(self, path: str | PathLike[str], span: range, on_step: OnStep) -> bytes:
        """Return the packed piece of one shard of a file, for `join`.

        Raises:
            MediaError: the file cannot be read.
        """
        return pack(self.session.read_piece(path, span, on_step, stage=self.stage))

    def join(self, path: str | PathLike[str], pieces: Sequence[bytes]) -> dict[str, Any]:
        """Return the verdict on a file from the pieces of all its shards; reads no file."""
        return dict(self.session.conclude(path, map(unpack, pieces)).to_dict())


def detector_job(spec: WeightsSpec) -> DetectorJob:
    """Return the job of a worker with these weights.

    A shard is a whole number of window strides, so that the windows of the sound are the same as if
    the video were judged at once.
    """
    session = spec.load()
    stride = session.config.windows.stride
    return DetectorJob(session, stride * max(1, round(spec.shard * STEP_RATE / stride)))
